"""What lies in a folder, as plain data."""

import errno
import os
import stat
from typing import Literal, NamedTuple, Self

from runner.workspace.paths import display

Kind = Literal["f", "d", "l", "o"]  # file, folder, symbolic link, other (pipe, socket, device)
Owner = tuple[int, int]  # uid, gid

BLOCK_BYTES = 512  # unit of st_blocks


class Stat(NamedTuple):
    """What a file is; `stamp` changes whenever its content may have changed."""

    kind: Kind
    size_bytes: int
    disk_bytes: int
    mtime_ns: int
    inode: int
    mode: int
    links: int
    uid: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(
            kind_of(status.st_mode),
            status.st_size,
            status.st_blocks * BLOCK_BYTES,
            status.st_mtime_ns,
            status.st_ino,
            stat.S_IMODE(status.st_mode),
            status.st_nlink,
            status.st_uid,
            status.st_ctime_ns,
        )

    @property
    def stamp(self) -> tuple[int, int, int]:
        return (self.mtime_ns, self.size_bytes, self.inode)


class Entry(NamedTuple):
    name: str
    stat: Stat

    def row(self) -> list[str | int]:
        """[name, kind, size in bytes], and what to show instead of the name where that differs."""
        shown = display(self.name)
        row: list[str | int] = [self.name, self.stat.kind, self.stat.size_bytes if self.stat.kind == "f" else 0]
        return row if shown == self.name else [*row, shown]


def kind_of(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "f"
    if stat.S_ISDIR(mode):
        return "d"
    return "l" if stat.S_ISLNK(mode) else "o"


def require_regular(found: Stat, owner: Owner | None) -> None:
    """Raises OSError for what is no regular file, and for somebody else's file hard-linked into the workspace."""
    refused = {"d": errno.EISDIR, "l": errno.ELOOP, "o": errno.ENXIO}.get(found.kind)
    if refused is None and owner is not None and found.links > 1 and found.uid != owner[0]:
        refused = errno.EPERM
    if refused is not None:
        raise OSError(refused, os.strerror(refused))
