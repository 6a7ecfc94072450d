"""A folder as a ZIP file, made while it is sent: the generator rests until the next piece is asked for."""

import os
import stat
import sys
import time
import zipfile
from collections.abc import Generator, Iterator
from math import inf
from threading import Lock
from typing import Final

from runner.errors import DevexError
from runner.workspace.drafts import CHUNK_BYTES
from runner.workspace.entries import Entry, Stat
from runner.workspace.paths import display, join
from runner.workspace.workspace import Workspace

PIECE_BYTES: Final = 1 << 17
HELD_BYTES: Final = 192 << 20  # of memory: zipfile keeps every entry to the end; 200,000 with paths of 150 characters
_ENTRY_BYTES: Final = 600  # what it keeps of one (measured), but for the name, which it writes once more at the end
_FASTEST: Final = 1  # level 6 takes three times as long for a tenth less
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment ZIP can say
_END: Final = (2107, 12, 31, 23, 59, 58)


class Memory:
    """What may be held at a time, of whatever threads."""

    def __init__(self, size_bytes: int) -> None:
        self._left = size_bytes
        self._lock = Lock()

    def claim(self, size_bytes: int) -> None:
        """Raises DevexError `busy` (503) when so much is not left."""
        with self._lock:
            if size_bytes > self._left:
                message = "Too many large folders are being downloaded."
                raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
            self._left -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self._left += size_bytes


def check_size(workspace: Workspace, path: str, limit_bytes: int, limit_entries: int) -> int:
    """-> how much memory its ZIP holds, in bytes. Raises DevexError `too_large` (413) before anything is sent; sparse
    files count what they pretend to hold.
    """
    walk = workspace.walk(path, entries=limit_entries)
    total_bytes = held_bytes = 0
    for folder, entries in walk:
        for entry in entries:
            held_bytes += _held_bytes(_inside(path, folder, entry))
            total_bytes += entry.stat.size_bytes if entry.stat.kind == "f" else 0
    what = ""
    if walk.cut:
        what = f"has more than {limit_entries} entries, is nested too deeply, or cannot be read in time"
    elif total_bytes > limit_bytes:
        what = f"holds more than {limit_bytes >> 20} MiB"
    elif held_bytes > HELD_BYTES:
        what = "has too many entries with long paths"
    if what:
        raise DevexError("too_large", f"This folder {what}.", "Download its folders one by one.", status=413)
    return held_bytes


def zip_pieces(
    workspace: Workspace, path: str, limit_bytes: int, held_bytes: int = HELD_BYTES
) -> Generator[bytes, None, None]:
    """Links are stored as links. What vanished meanwhile and what is no file is left out and counted in the comment."""
    sink = Sink()
    left_out = 0
    walk = workspace.walk(path, budget_s=inf)  # the browser sets the pace
    with zipfile.ZipFile(sink, "w") as archive:
        for folder, entries in walk:
            for entry in entries:
                name = _inside(path, folder, entry)
                held_bytes -= _held_bytes(name)
                if held_bytes < 0:
                    raise _grown()
                try:
                    for size in _add(archive, workspace, join(folder, entry.name), _info(entry, name)):
                        limit_bytes -= size
                        if limit_bytes < 0:  # grew since check_size
                            raise _grown()
                        yield from sink.taken()
                except _LeftOut:
                    left_out += 1
                yield from sink.taken()  # folders, links and empty files alone
        if walk.cut:
            raise _grown()
        if left_out:
            archive.comment = f"{left_out} entries that are no regular files were left out".encode()
    yield from sink.taken(least_bytes=1)


class _LeftOut(Exception):
    """An entry that is no file, folder or link, or cannot be opened."""


def _grown() -> DevexError:
    return DevexError("too_large", "The folder grew while it was sent.", "Download it again.", status=413)


def _add(archive: zipfile.ZipFile, workspace: Workspace, path: str, info: zipfile.ZipInfo) -> Iterator[int]:
    """Yields the size of each piece written."""
    mode = info.external_attr >> 16
    try:
        if stat.S_ISDIR(mode):
            archive.writestr(info, b"")
            return
        if stat.S_ISLNK(mode):
            archive.writestr(info, workspace.read_link(path))
            return
        if not stat.S_ISREG(mode):
            raise _LeftOut
        descriptor = workspace.open_read(path)
    except DevexError:
        raise _LeftOut from None
    try:
        left = Stat.of(os.fstat(descriptor)).size_bytes  # of a file that grows for ever, what it was
        with archive.open(info, "w", force_zip64=True) as target:
            while left and (piece := os.read(descriptor, min(left, CHUNK_BYTES))):
                target.write(piece)
                left -= len(piece)
                yield len(piece)
    finally:
        os.close(descriptor)


def _inside(path: str, folder: str, entry: Entry) -> str:
    """What the entry is called in the ZIP of `path`."""
    return join(folder, entry.name)[len(path) + 1 if path else 0 :]


def _unicode(name: str) -> str:
    """As ZIP has names."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "/".join(display(part) for part in name.split("/"))
    return name


def _held_bytes(name: str) -> int:
    return _ENTRY_BYTES + 2 * sys.getsizeof(name)


def _info(entry: Entry, name: str) -> zipfile.ZipInfo:
    return zip_info(name, entry.stat.kind, entry.stat.mode, entry.stat.mtime_ns)


def zip_info(inside: str, kind: str, mode: int, mtime_ns: int) -> zipfile.ZipInfo:
    """An entry of a ZIP; `kind` is "f", "d", "l", or "o" for what has no content."""
    name = _unicode(inside)
    try:
        at = time.gmtime(mtime_ns // 1_000_000_000)[:6]
    except (OverflowError, OSError, ValueError):
        at = _END
    info = zipfile.ZipInfo(f"{name}/" if kind == "d" else name, min(max(at, _EPOCH), _END))
    unix = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "o": 0}[kind]
    info.create_system = 3  # Unix: the mode below counts
    info.external_attr = (unix | mode & 0o777) << 16 | (0x10 if kind == "d" else 0)
    info.compress_type = zipfile.ZIP_DEFLATED if kind == "f" else zipfile.ZIP_STORED
    info._compresslevel = _FASTEST  # type: ignore[attr-defined]  # zipfile heeds its own level for plain names only
    return info


class Sink:
    """Where zipfile writes; it has no tell(), so zipfile knows that it cannot go back."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits here for more."""

    def close(self) -> None:
        """What was written is still to be taken."""

    def taken(self, least_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
        """Pieces of at most PIECE_BYTES, as long as so much is there."""
        while len(self._data) >= least_bytes:
            yield bytes(self._data[:PIECE_BYTES])
            del self._data[:PIECE_BYTES]
