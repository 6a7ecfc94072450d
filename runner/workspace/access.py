"""System calls that resolve a path below a directory descriptor and nowhere else.

`openat2(2)` with RESOLVE_BENEATH | NO_SYMLINKS | NO_MAGICLINKS | NO_XDEV: whatever a program renames or links
meanwhile, the kernel never leaves the tree. Where it is missing (Linux before 5.6, old seccomp profiles) every name
along the path is opened by itself without following links. Python wraps neither call, hence ctypes.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runner.workspace.paths import Parts

OPENAT2: Final = 437  # the same number on x86_64 and aarch64
BENEATH: Final = 0x01 | 0x02 | 0x04 | 0x08  # RESOLVE_NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH
RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
ANCHOR: Final = os.O_PATH | os.O_DIRECTORY
# NONBLOCK: neither a FIFO nor a lease (fcntl) may hang us; NOCTTY: a terminal device must not become ours
READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY

_libc = ctypes.CDLL(None, use_errno=True)


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def openat2(folder: int, parts: Parts, flags: int) -> int:
    path = b"/".join(parts) or b"."
    how = _How(flags | os.O_CLOEXEC, 0, BENEATH)
    while True:
        descriptor: int = _libc.syscall(OPENAT2, folder, path, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number != errno.EINTR:  # EAGAIN is a program's lease, for 45 s and again; without ".." it is nothing else
            raise OSError(number, os.strerror(number))


def open_stepwise(folder: int, parts: Parts, flags: int) -> int:
    """The same promise without openat2: one name at a time, never through a link, never onto another file system."""
    here = os.open(".", ANCHOR | os.O_CLOEXEC, dir_fd=folder)
    device = os.fstat(here).st_dev
    try:
        for index, part in enumerate(parts or (b".",)):
            last = index >= len(parts) - 1
            wanted = flags if last else ANCHOR
            following = os.open(part, wanted | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = following
            status = os.fstat(here)
            if status.st_dev != device:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            if stat.S_ISLNK(status.st_mode):  # O_PATH | O_NOFOLLOW opens the link itself
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except BaseException:
        os.close(here)
        raise
    return here


def _has_openat2() -> bool:
    try:
        root = os.open("/", ANCHOR | os.O_CLOEXEC)
        try:
            os.close(openat2(root, (), ANCHOR))
        finally:
            os.close(root)
    except OSError:
        return False
    return True


open_beneath = openat2 if _has_openat2() else open_stepwise


@contextmanager
def opened(folder: int, parts: Parts, flags: int) -> Iterator[int]:
    descriptor = open_beneath(folder, parts, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def parent_of(root: int, parts: Parts) -> Iterator[tuple[int, bytes]]:
    """The folder that holds the last name of `parts`, and that name."""
    with opened(root, parts[:-1], ANCHOR) as folder:
        yield folder, parts[-1]


def rename(old_folder: int, old: bytes, new_folder: int, new: bytes, flags: int) -> None:
    """renameat2(2); neither name is followed when it is a link."""
    if _libc.renameat2(old_folder, old, new_folder, new, flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
