"""Files being written: complete under their own name, or not there at all.

A draft lies in its target's folder under a name of its own and is renamed over the target. The program in the sandbox
may touch it meanwhile; all it can spoil is its own file.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
from typing import Final, Self

from runner.errors import DevexError
from runner.workspace import access
from runner.workspace.entries import Owner, Stat, require_regular
from runner.workspace.paths import Parts, display, text
from runner.workspace.problems import explained

ABSENT: Final = ""  # in place of a digest: the file must not exist yet
RESUMABLE: Final = "u"  # first letter of tokens that may be continued; random ones are hexadecimal
NEW_FILE_MODE: Final = 0o644
CHUNK_BYTES: Final = 1 << 18
_DRAFT: Final = re.compile(r"\.devex-[0-9a-z]{8,64}\.part")
_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_EXCHANGE: Final = {errno.EINVAL, errno.ENOSYS}  # file systems without RENAME_EXCHANGE


def draft_name(token: str) -> str:
    return f".devex-{token}.part"


def is_resumable(name: str) -> bool:
    return name.startswith(f".devex-{RESUMABLE}") and is_draft(name)


def is_draft(name: str) -> bool:
    return name.startswith(".devex-") and _DRAFT.fullmatch(name) is not None


def digest_of(descriptor: int) -> str:
    """SHA-256 of an open file, from its start."""
    digest = hashlib.sha256()
    offset = 0
    while chunk := os.pread(descriptor, CHUNK_BYTES, offset):
        digest.update(chunk)
        offset += len(chunk)
    return digest.hexdigest()


class Draft:
    """Write, then commit or discard; as a context manager it discards what was not committed.

    With a `token` (RESUMABLE and 7 to 63 characters of 0-9a-z) the draft can be closed and found again: `size_bytes`
    says how far it got.
    """

    def __init__(self, root: int, parts: Parts, owner: Owner | None, token: str | None = None) -> None:
        self.path = text(parts)
        self._name = parts[-1]
        self._owner = owner
        self._draft = draft_name(token or secrets.token_hex(8)).encode()
        self._closed = False
        with explained(self.path):
            self._folder = access.open_beneath(root, parts[:-1], access.ANCHOR)
            try:
                self._file = self._create() if token is None else self._resume()
            except BaseException:
                os.close(self._folder)
                raise

    def _create(self) -> int:
        descriptor = os.open(self._draft, _OPEN | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a program may hold it already: never wait for one
            if self._owner is not None:
                os.fchown(descriptor, *self._owner)
        except BaseException:
            self._unlink()
            os.close(descriptor)
            raise
        return descriptor

    def _resume(self) -> int:
        try:
            descriptor = os.open(self._draft, _OPEN, dir_fd=self._folder)
        except FileNotFoundError:
            return self._create()
        try:
            found = Stat.of(os.fstat(descriptor))
            if found.kind != "f" or found.links != 1:
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # one writer at a time
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._file).st_size

    def write(self, data: bytes) -> None:
        """Append."""
        left = memoryview(data)
        offset = self.size_bytes
        with explained(self.path):
            while left:
                written = os.pwrite(self._file, left, offset)
                offset += written
                left = left[written:]

    def skip(self, length: int) -> None:
        """Append so many zeros that take no room."""
        with explained(self.path):
            os.ftruncate(self._file, self.size_bytes + length)

    def digest(self) -> str:
        with explained(self.path):
            return digest_of(self._file)

    def close(self) -> None:
        """Leave the draft to a later one with the same token."""
        if not self._closed:
            self._closed = True
            os.close(self._file)
            os.close(self._folder)

    def discard(self) -> None:
        if not self._closed:
            self._unlink()
            self.close()

    def _unlink(self) -> None:
        try:
            os.unlink(self._draft, dir_fd=self._folder)
        except OSError:
            pass  # the program was quicker, or made it a folder: its own business

    def commit(
        self,
        *,
        expect: str | Stat | None = None,
        mode: int | None = None,
        mtime_ns: int | None = None,
        durable: bool = True,
        apart: bool = False,
    ) -> Stat:
        """Become the file; returns what it is now. The mode of a file that was there is kept.

        `expect` is the digest or the Stat the file must still have, ABSENT, or None for whatever is there; otherwise
        DevexError `changed` (412). A hard-linked file is written in place, so that its other names follow, unless it is
        to stand `apart` from them.
        """
        with explained(self.path):
            current = None if expect == ABSENT else self._current()  # whether it is, taking its place will tell
            if expect not in {None, ABSENT}:
                self._compare(current, expect)
            if mode is None:
                mode = NEW_FILE_MODE if current is None else current.mode & 0o777
            os.fchmod(self._file, mode)
            if mtime_ns is not None:
                os.utime(self._file, ns=(mtime_ns, mtime_ns))
            if durable:
                os.fsync(self._file)
            if current is not None and current.links > 1 and not apart:
                return self._overwrite(current)
            self._take_place(current, expect)
            committed = Stat.of(os.fstat(self._file))
            self.close()
            return committed

    def _current(self) -> Stat | None:
        try:
            found = Stat.of(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False))
        except FileNotFoundError:
            return None
        require_regular(found, self._owner)
        return found

    def _compare(self, current: Stat | None, expect: str | Stat) -> None:
        if current is None:
            raise changed(self.path)
        if isinstance(expect, Stat):
            if current.stamp != expect.stamp:
                raise changed(self.path)
            return
        descriptor = os.open(self._name, access.READ | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            if Stat.of(os.fstat(descriptor)).stamp != current.stamp or digest_of(descriptor) != expect:
                raise changed(self.path)
        finally:
            os.close(descriptor)

    def _take_place(self, current: Stat | None, expect: str | Stat | None) -> None:
        """Rename over the target; where something was expected, without losing a change made since it was compared."""
        if expect == ABSENT:
            try:
                self._rename(access.RENAME_NOREPLACE)
            except FileExistsError:
                raise exists(self.path) from None
        elif expect is None or current is None:
            self._rename(0)
        else:
            self._exchange(current)

    def _exchange(self, current: Stat) -> None:
        try:
            self._rename(access.RENAME_EXCHANGE)
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
            return self._rename(0)
        came_out = Stat.of(os.stat(self._draft, dir_fd=self._folder, follow_symlinks=False))
        if came_out.stamp != current.stamp:
            self._rename(access.RENAME_EXCHANGE)
            raise changed(self.path)
        return self._unlink()

    def _rename(self, flags: int) -> None:
        access.rename(self._folder, self._draft, self._folder, self._name, flags)

    def _overwrite(self, current: Stat) -> Stat:
        """Copy into the file that is there; space is reserved first, so that a full disk spoils nothing."""
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        target = os.open(self._name, flags, dir_fd=self._folder)
        try:
            found = Stat.of(os.fstat(target))
            require_regular(found, self._owner)
            if found.inode != current.inode:
                raise changed(self.path)
            size_bytes = self.size_bytes
            if size_bytes:
                os.posix_fallocate(target, 0, size_bytes)
            offset = 0
            while chunk := os.pread(self._file, CHUNK_BYTES, offset):
                offset += os.pwrite(target, chunk, offset)
            os.ftruncate(target, offset)
            os.fsync(target)
            written = Stat.of(os.fstat(target))
        finally:
            os.close(target)
        self.discard()
        return written


def changed(path: str) -> DevexError:
    return DevexError(
        "changed", f"“{display(path)}” was changed meanwhile.", "Open it again, then repeat your change.", status=412
    )


def exists(path: str) -> DevexError:
    return DevexError("changed", f"“{display(path)}” already exists.", "Choose another name.", status=412)
