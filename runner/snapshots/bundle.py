"""A REPL's versions in one file: a tar of plain members, written and read piece by piece.

    devex.json     what it is: {"format": 1, ...}, the first member
    p/… t/… i/…    objects of a store, as `runner.snapshots.layout` describes them
    n/…
    c/…            commits, the oldest first, and last the newest version's

Whoever reads one believes nothing in it: a member is a regular file with such a name, of at most so many bytes, and
what its name says.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NamedTuple

from runner.errors import DevexError
from runner.snapshots import layout

FORMAT: Final = 1
ABOUT: Final = "devex.json"
ABOUT_BYTES: Final = 64 << 10
_BLOCK: Final = tarfile.BLOCKSIZE
_END: Final = bytes(_BLOCK)
_NAME: Final = re.compile(r"[pti]/[0-9a-f]{40}|c/[0-9]{9}-[0-9]{11}|n/[0-9]{1,8}-[0-9]{1,10}-[0-9a-f]{40}")
_MOST_BYTES: Final = {  # what is ever written, and some
    "p": 32 << 20,
    "t": 32 << 20,
    "i": layout.MAX_INDEX_BYTES,
    "c": 4 << 20,
    "n": 64 << 10,
}
VERSIONS: Final = 20_000  # each is read by itself; retention leaves 5,000 in the worst case. So many names as well
PARTS: Final = 200  # of a version's index: 5 million places, 200 MiB here


class BadBundle(DevexError):
    def __init__(self, why: str) -> None:
        super().__init__(
            "bundle", f"The file is no bundle of a REPL, or was damaged: {why}.", "Export it again.", status=422
        )


class Member(NamedTuple):
    name: str
    data: bytes


def write_about(file: BinaryIO, about: dict[str, Any]) -> None:
    write_member(file, ABOUT, json.dumps({"format": FORMAT, **about}).encode())


def write_member(file: BinaryIO, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(data), 0o600
    file.write(header.tobuf(tarfile.USTAR_FORMAT))
    file.write(data)
    file.write(bytes(-len(data) % _BLOCK))


def write_end(file: BinaryIO) -> None:
    file.write(_END * 2)


def read_about(file: BinaryIO) -> dict[str, Any]:
    """Raises BadBundle."""
    header = _header(file)
    if header is None or header.name != ABOUT or header.size > ABOUT_BYTES:
        raise BadBundle(f"it does not begin with {ABOUT}")
    try:
        about = json.loads(_content(file, header.size))
    except (ValueError, RecursionError):
        raise BadBundle(f"{ABOUT} cannot be read") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise BadBundle("this DEVEX does not know its format")
    return about


def read_members(file: BinaryIO) -> Iterator[Member]:
    """The rest, each checked against its name. Blocks. Raises BadBundle."""
    names = versions = 0
    while (header := _header(file)) is not None:
        if not _NAME.fullmatch(header.name):
            raise BadBundle(f"it has a member “{header.name[:80]!r}”")
        if header.size > _MOST_BYTES[header.name[0]]:
            raise BadBundle(f"“{header.name}” is too large")
        data = _content(file, header.size)
        try:
            layout.check_object(header.name, data)
        except layout.Damaged:
            raise BadBundle(f"“{header.name}” is not what its name says") from None
        names += header.name.startswith("n/")
        if names > VERSIONS:
            raise BadBundle("its history is larger than any that DEVEX writes")
        if header.name.startswith("c/"):
            versions += 1
            if versions > VERSIONS or len(layout.commit_of(data).index) > PARTS:
                raise BadBundle("its history is larger than any that DEVEX writes")
        yield Member(header.name, data)


def _header(file: BinaryIO) -> tarfile.TarInfo | None:
    """None at the end, which must be marked: a file that was cut off is none."""
    block = file.read(_BLOCK)
    if block == _END:
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "ascii", "surrogateescape")
    except tarfile.HeaderError:
        raise BadBundle("it was cut off" if len(block) < _BLOCK else "a header cannot be read") from None
    if header.type != tarfile.REGTYPE or header.size < 0:
        raise BadBundle("it has a member that is no plain file")
    return header


def _content(file: BinaryIO, size: int) -> bytes:
    data = file.read(size + -size % _BLOCK)
    if len(data) < size:
        raise BadBundle("it was cut off")
    return data[:size]
