"""A folder as a ZIP file, made while it is sent: the generator rests until the next piece is asked for."""

import os
import stat
import time
import zipfile
from collections.abc import Generator, Iterator
from typing import Final

from runner.errors import DevexError
from runner.workspace.drafts import CHUNK_BYTES
from runner.workspace.entries import Entry, Stat
from runner.workspace.paths import display, join
from runner.workspace.workspace import Workspace

PIECE_BYTES: Final = 1 << 17
_FASTEST: Final = 1  # level 6 takes three times as long for a tenth less
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the first moment ZIP can say
_END: Final = (2107, 12, 31, 23, 59, 58)


def check_size(workspace: Workspace, path: str, limit_bytes: int, limit_entries: int) -> None:
    """Raises DevexError `too_large` (413) before anything is sent; sparse files count what they pretend to hold."""
    walk = workspace.walk(path, entries=limit_entries)
    total_bytes = sum(e.stat.size_bytes for _, entries in walk for e in entries if e.stat.kind == "f")
    if walk.cut or total_bytes > limit_bytes:
        what = f"has more than {limit_entries} entries, is nested too deeply, or cannot be read in time"
        if not walk.cut:
            what = f"holds more than {limit_bytes >> 20} MiB"
        raise DevexError("too_large", f"This folder {what}.", "Download its folders one by one.", status=413)


def zip_pieces(workspace: Workspace, path: str, limit_bytes: int) -> Generator[bytes, None, None]:
    """Links are stored as links. What vanished meanwhile and what is no file is left out and counted in the comment."""
    sink = Sink()
    left_out = 0
    walk = workspace.walk(path)
    with zipfile.ZipFile(sink, "w") as archive:
        for folder, entries in walk:
            for entry in entries:
                whole = join(folder, entry.name)
                inside = whole[len(path) + 1 :] if path else whole
                try:
                    for size in _add(archive, workspace, whole, _info_of(entry, inside)):
                        limit_bytes -= size
                        if limit_bytes < 0:  # grew since check_size
                            raise _grown()
                        if sink.size >= PIECE_BYTES:
                            yield sink.take()
                except _LeftOutError:
                    left_out += 1
                if sink.size >= PIECE_BYTES:  # folders, links and empty files alone
                    yield sink.take()
        if left_out or walk.cut:
            archive.comment = f"{left_out} entries that are no regular files were left out".encode()
    yield sink.take()


class _LeftOutError(Exception):
    pass


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
            raise _LeftOutError
        descriptor = workspace.open_read(path)
    except DevexError:
        raise _LeftOutError from None
    try:
        left = Stat.of(os.fstat(descriptor)).size_bytes  # of a file that grows for ever, what it was
        with archive.open(info, "w", force_zip64=True) as target:
            while left and (piece := os.read(descriptor, min(left, CHUNK_BYTES))):
                target.write(piece)
                left -= len(piece)
                yield len(piece)
    finally:
        os.close(descriptor)


def _info_of(entry: Entry, inside: str) -> zipfile.ZipInfo:
    return zip_info(inside, entry.stat.kind, entry.stat.mode, entry.stat.mtime_ns)


def zip_info(inside: str, kind: str, mode: int, mtime_ns: int) -> zipfile.ZipInfo:
    """An entry of a ZIP; `kind` is "f", "d", "l", or "o" for what has no content."""
    try:
        inside.encode()
        name = inside
    except UnicodeEncodeError:  # ZIP names are Unicode
        name = "/".join(display(part) for part in inside.split("/"))
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
        self.size = 0
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.size = 0
        return taken
