"""Versions in a folder of this machine: one file an object.

A file is written as a draft, synced, and linked under its name: `link(2)` replaces nothing, so that of two writers one
wins, and a reader finds all of an object or none. Drafts lie in a folder of their own, locked by their writers: what
a killed one left is unlocked, and removed when the store is opened next.
"""

import asyncio
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, ParamSpec, Self, TypeVar

from runner.snapshots.stores.store import (
    LARGEST_BYTES,
    Listed,
    Missing,
    StoreError,
    Taken,
    check_key,
    check_range,
    check_size,
    is_key,
    too_large,
)

DRAFTS: Final = ".drafts"  # no key begins with a dot
THREADS: Final = 4  # a slow disk is not faster with more; its own, so that a stuck one holds up nobody else
DEADLINE_S: Final = 60.0  # the longest stall of a disk that is still taken for one
RACES: Final = 5  # how often a folder may be removed as empty between being made and being used
PAGE: Final = 1000  # names listed between two looks at the event loop
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}
_NO_LINKS: Final = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}
_DENIED: Final = {errno.EACCES, errno.EPERM, errno.EROFS}

P = ParamSpec("P")
T = TypeVar("T")


class DirectoryStore:
    """`root` is made where it is missing, when the store is opened, unless it `must_exist`: its disk may be missing."""

    def __init__(self, root: Path, *, must_exist: bool = False) -> None:
        self._root = root
        self._must_exist = must_exist
        self._drafts = root / DRAFTS
        self._turns = asyncio.Semaphore(THREADS)  # whoever waits for one has no deadline running

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="devex-store")
        try:
            await self._run(self._open)
        except BaseException:
            self._threads.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        check_key(key)
        check_range(start, length)
        return await self._run(self._get, key, start, length)

    async def create(self, key: str, data: bytes) -> None:
        check_key(key)
        check_size(data)
        await self._run(self._create, key, data)

    async def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        found = islice(self._walk(self._root, "", prefix), limit)
        while page := await self._run(self._page, found):
            for listed in page:
                yield listed

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        await self._run(self._delete, keys)

    async def conditional(self) -> bool:
        return True

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with self._turns, asyncio.timeout(DEADLINE_S):
                return await loop.run_in_executor(self._threads, lambda: work(*args, **kwargs))
        except TimeoutError:
            raise StoreError("The disk that holds the versions does not answer.", retryable=True) from None
        except OSError as error:
            raise _explained(error) from error

    def _open(self) -> None:
        if self._must_exist and not self._root.is_dir():
            action = "Ask the operator to mount its disk, or to make the folder."
            raise StoreError(f"There is no folder {self._root}.", retryable=True, action=action)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._drafts.mkdir(mode=0o700, exist_ok=True)
        for name in os.listdir(self._drafts):
            _remove_if_left(self._drafts / name)

    def _get(self, key: str, start: int, length: int | None) -> bytes:
        try:
            file = open(self._root / key, "rb", buffering=0)  # noqa: SIM115 - closed below; only opening may find nothing
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self._require_root()
            raise Missing(key) from None
        with file:
            size = max(0, os.fstat(file.fileno()).st_size - start)
            wanted = size if length is None else min(size, length)
            if wanted > LARGEST_BYTES:
                raise too_large(key)
            return _read(file.fileno(), start, wanted)

    def _page(self, found: Iterator[Listed]) -> Sequence[Listed]:
        page = tuple(islice(found, PAGE))
        if not page:
            self._require_root()
        return page

    def _create(self, key: str, data: bytes) -> None:
        draft = self._drafts / secrets.token_hex(16)
        for _ in range(RACES):
            try:
                return self._create_from(draft, key, data)
            except FileNotFoundError:  # a folder, emptied by another; or the draft, just before it was locked
                self._require_root()
        raise StoreError("The folder of versions keeps changing.", retryable=True)

    def _create_from(self, draft: Path, key: str, data: bytes) -> None:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            folders = self._made_folders(key)
            try:
                os.link(draft, self._root / key, follow_symlinks=False)
            except FileExistsError:
                if self._get(key, 0, None) != data:
                    raise Taken(key) from None
            except OSError as error:
                if error.errno in _NO_LINKS:
                    raise _no_links() from error
                raise
        finally:
            draft.unlink(missing_ok=True)
            os.close(descriptor)
        for folder in folders:  # of an equal one that was there already, too: its writer may not have come this far
            _sync(folder)

    def _made_folders(self, key: str) -> Sequence[Path]:
        """The object's folders from its own up to the root, made where they are missing."""
        folders = [self._root / parent for parent in Path(key).parents]
        for folder in reversed(folders[:-1]):
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                continue
        return folders

    def _delete(self, keys: Sequence[str]) -> None:
        """A folder goes with its last object."""
        self._require_root()
        folders: set[Path] = set()
        for key in keys:
            path = self._root / key
            try:
                path.unlink()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            folders.add(path.parent)
        for folder in folders:
            _sync(folder)
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            self._remove_emptied(folder)

    def _remove_emptied(self, folder: Path) -> None:
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass  # by another; the one above it may be empty, too
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    return
                raise
            folder = folder.parent

    def _walk(self, folder: Path, at: str, prefix: str) -> Iterator[Listed]:
        """Objects under `folder`, whose key is `at` (ending in `/`), in the order of keys: `a-b` before `a/b`."""
        try:
            with os.scandir(folder) as entries:
                found = [(f"{at}{one.name}", one, one.is_dir(follow_symlinks=False)) for one in entries]
        except (FileNotFoundError, NotADirectoryError):
            return
        for key, entry, is_folder in sorted(found, key=lambda one: one[0] + "/" * one[2]):
            if not is_key(key):
                continue
            if is_folder:
                inner = f"{key}/"
                if inner.startswith(prefix) or prefix.startswith(inner):
                    yield from self._walk(folder / entry.name, inner, prefix)
            elif key.startswith(prefix):
                try:
                    found_stat = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(found_stat.st_mode):
                    yield Listed(key, found_stat.st_size, datetime.fromtimestamp(found_stat.st_mtime, UTC))

    def _require_root(self) -> None:
        """What is not there must not be taken for an empty store: its disk may have been unmounted."""
        if not self._drafts.is_dir():
            raise StoreError(
                "The folder of versions is gone.",
                retryable=False,
                action="Ask the operator whether its disk is mounted.",
            )


def _read(descriptor: int, start: int, length: int) -> bytes:
    pieces = []
    while length > 0 and (piece := os.pread(descriptor, length, start)):
        pieces.append(piece)
        start += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _sync(folder: Path) -> None:
    """Makes the names in it durable. One that is gone needs nothing."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_left(draft: Path) -> None:
    """Not while its writer lives: it holds the lock."""
    try:
        descriptor = os.open(draft, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.unlink(missing_ok=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _no_links() -> StoreError:
    return StoreError(
        "The file system of the folder of versions cannot link files.",
        retryable=False,
        action="Ask the operator to put it on another one, such as ext4, XFS, Btrfs or NFS.",
    )


def _explained(error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreError(
            "The disk that holds the versions is full.", retryable=True, action="Ask the operator to make room on it."
        )
    if error.errno in _DENIED:
        return StoreError(
            f"DEVEX may not write the folder of versions ({error.strerror}).",
            retryable=False,
            action="Ask the operator to correct its owner and mode.",
        )
    return StoreError(f"The disk that holds the versions fails ({error.strerror}).", retryable=True)
