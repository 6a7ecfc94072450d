"""inotify(7) as it is: folders by descriptor in, events out."""

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple

CLOSE_WRITE: Final = 0x8
Q_OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
# IN_ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | ONLYDIR | EXCL_UNLINK. Not IN_MODIFY: a program
# that writes without end would keep us busy; what it wrote is seen when it closes the file.
_MASK: Final = 0x4 | CLOSE_WRITE | 0x40 | 0x80 | 0x100 | 0x200 | 0x01000000 | 0x04000000
_HEAD: Final = struct.Struct("iIII")
_READ_BYTES: Final = 1 << 16
_READS: Final = 256  # the kernel's queue (16,384 events) in one go, without following a writer for ever

_libc = ctypes.CDLL(None, use_errno=True)


class Event(NamedTuple):
    watch: int
    mask: int
    name: bytes


class Inotify:
    """Raises OSError EMFILE when this user has no instance left."""

    def __init__(self) -> None:
        self._descriptor: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _last_error()

    def fileno(self) -> int:
        return self._descriptor

    def add(self, folder: int) -> int:
        """Watch an open folder, wherever it is moved to. Raises OSError ENOSPC when this user has no watch left."""
        path = b"/proc/self/fd/%d" % folder  # the folder we hold, not what has its name by now
        watch: int = _libc.inotify_add_watch(self._descriptor, path, _MASK)
        if watch < 0:
            raise _last_error()
        return watch

    def remove(self, watch: int) -> None:
        _libc.inotify_rm_watch(self._descriptor, watch)  # fails when the folder is gone, which is as good

    def read(self) -> list[Event]:
        events: list[Event] = []
        for _ in range(_READS):
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except BlockingIOError:
                break
            offset = 0
            while offset < len(data):
                watch, mask, _, length = _HEAD.unpack_from(data, offset)
                offset += _HEAD.size
                events.append(Event(watch, mask, data[offset : offset + length].rstrip(b"\0")))
                offset += length
        return events

    def close(self) -> None:
        os.close(self._descriptor)


def _last_error() -> OSError:
    number = ctypes.get_errno() or errno.EIO
    return OSError(number, os.strerror(number))
