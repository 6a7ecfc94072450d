"""Making a workspace, or a part of it, what a version says: only what differs is touched, nothing newer is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any, Final, ParamSpec, TypeVar

import zstandard

from runner.snapshots.compare import Change, changes
from runner.snapshots.layout import CHUNK_BYTES, ZEROS, Row
from runner.snapshots.version import Pieces, Version
from runner.snapshots.writing import Folders, Restored, Wanted, Writer
from runner.workspace import Workspace

BLOCK_BYTES: Final = 4096  # of a disk: what is written takes a whole number of them
BRING_BYTES: Final = 8 << 20  # more than any editor opens
BATCH: Final = 10_000  # small files put in the order of their packs at once
BLOCK: Final = 1_000  # changes compressed together
WRITERS: Final = 2  # packs written side by side: while one thread waits for the disk, the other unpacks

P = ParamSpec("P")
T = TypeVar("T")

Progress = Callable[[dict[str, int]], None]
"""Called after every piece with `files`, `of_files`, `bytes` and `of_bytes`."""


async def restore(
    workspace: Workspace,
    wanted: Version,
    now: Version | None,
    path: str = "",
    progress: Progress = lambda seen: None,
) -> Restored:
    """Make `path` (a file, a folder, or "" for all) what it was in `wanted`.

    `now` is the version of what lies there, taken just before, so that nothing of it can be lost; None for an empty
    workspace. What changed since, what no version holds, and what is damaged in the store is left alone and noted; a
    restore that was cut off is repeated. Raises StoreError, DevexError `quota` (not for an empty workspace: it did hold
    this) and others of the disk.
    """
    plan = _Plan()
    unlisted: list[str] = []
    async with aclosing(changes(now, wanted, times=True, damaged=unlisted.append)) as differing:
        async for change in differing:
            if _concerns(change, path):
                plan.add(change)
    job = _Restore(workspace, wanted, plan, progress)
    for folder in unlisted:
        if not path or not folder or f"{folder}/".startswith(f"{path}/") or path.startswith(f"{folder}/"):
            job.restored.note(folder, "is left as it is from some file on: the list of what was in it is damaged")
    try:
        await job.run(is_empty=now is None)
    finally:
        await _in_thread(job.lock_again)
    return job.restored


async def bring(workspace: Workspace, wanted: Version, path: str) -> None:
    """One file into a workspace that is being restored as a whole, before its turn: whatever is there stays.

    Does nothing where the version has no such file, or one that is too large for an editor. That it outlives the
    machine, and the modes of folders, come with the rest. Raises as `restore`.
    """
    row = await wanted.entry(path)
    if row is None or row.kind != "f" or row.size_bytes > BRING_BYTES or workspace.exists(path):
        return
    if folder := path.rpartition("/")[0]:
        await _in_thread(workspace.mkdir, folder, parents=True, exist_ok=True)
    job = _Restore(workspace, wanted, _Plan(), lambda seen: None)
    await job.write(Wanted(path, row, None))


def _concerns(change: Change, chosen: str) -> bool:
    """What is at or in the chosen path, and folders on the way to it that are missing."""
    if not chosen or change.path == chosen or change.path.startswith(f"{chosen}/"):
        return True
    on_the_way = change.old is None and change.new is not None and change.new.kind == "d"
    return on_the_way and chosen.startswith(f"{change.path}/")


@asynccontextmanager
async def _together() -> AsyncIterator[asyncio.TaskGroup]:
    """Of what fails the first error is raised as it is, when all have ended."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Up to its end, also when we are cancelled meanwhile: what it works on will be closed."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        await asyncio.wait([working])


class _CompressedChanges:
    """In the order they were added, compressed: as objects, those of 100,000 files would take 60 MB."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._last: list[Change] = []

    def add(self, change: Change) -> None:
        self._last.append(change)
        if len(self._last) == BLOCK:
            self._blocks.append(zstandard.compress(json.dumps(self._last).encode(), 1))
            self._last = []

    def __iter__(self) -> Iterator[Change]:
        for block in self._blocks:
            yield from _unpacked(block)
        yield from self._last

    def __reversed__(self) -> Iterator[Change]:
        yield from reversed(self._last)
        for block in reversed(self._blocks):
            yield from reversed(_unpacked(block))


def _unpacked(block: bytes) -> list[Change]:
    return [Change(path, _row(old), _row(new)) for path, old, new in json.loads(zstandard.decompress(block))]


class _Plan:
    """What is to be done, sorted by when; a file that takes a folder's place is in two."""

    def __init__(self) -> None:
        self.removed, self.emptied, self.folders, self.small, self.large, self.links = (
            _CompressedChanges() for _ in range(6)
        )
        self.more_bytes = self.more_entries = self.files = self.size_bytes = 0

    def add(self, change: Change) -> None:
        _, old, new = change
        self.more_bytes += _disk_bytes(new) - _disk_bytes(old)
        self.more_entries += (new is not None) - (old is not None)
        if old is not None and (new is None or new.kind != old.kind):
            if old.kind == "d":
                self.emptied.add(change)
            else:
                self.removed.add(change)
        match new:
            case Row(kind="d"):
                self.folders.add(change)
            case Row(kind="l"):
                self.links.add(change)
            case Row(kind="f"):
                self.files += 1
                self.size_bytes += new.size_bytes
                (self.small if len(new.content) <= 1 else self.large).add(change)


def _wanted(files: Iterable[Change]) -> Iterator[Wanted]:
    for path, old, new in files:
        assert new is not None
        yield Wanted(path, new, old if old is not None and old.kind == "f" else None)


def _row(fields: list[Any] | None) -> Row | None:
    if fields is None:
        return None
    name, kind, mode, mtime_ns, size_bytes, content = fields
    return Row(name, kind, mode, mtime_ns, size_bytes, tuple(content))


class _Restore:
    def __init__(self, workspace: Workspace, wanted: Version, plan: _Plan, progress: Progress) -> None:
        self._workspace = workspace
        self._wanted = wanted
        self._plan = plan
        self._progress = progress
        self._folders = Folders(workspace)
        self._writer = Writer(workspace, self._folders)
        self.restored = self._writer.restored
        self._damaged: list[Wanted] = []  # in their pack
        self._bytes = 0

    async def run(self, *, is_empty: bool) -> None:
        """Folders and small files first, so that there is something to look at; large ones last."""
        await _in_thread(self._make_room, is_empty)
        small = _wanted(self._plan.small)
        while batch := list(islice(small, BATCH)):
            await self._write_small(batch)
        async with _together() as tasks:
            tasks.create_task(_in_thread(self._workspace.sync))  # the disk need not wait for the large ones
            for file in _wanted(self._plan.large):
                await self._write_large(file)
        await _in_thread(self._finish)

    def lock_again(self) -> None:
        """The folders that were opened for us, or are to be locked."""
        for folder, mode in self._folders.to_lock():
            self._writer.lock(folder, mode)

    def _make_room(self, is_empty: bool) -> None:
        if not is_empty:
            self._workspace.quota.claim(self._plan.more_bytes, self._plan.more_entries)
        for path, old, _ in self._plan.removed:
            assert old is not None
            self._writer.remove(path, old)
        for path, _, _ in reversed(self._plan.emptied):  # what is inside first
            self._writer.remove_folder(path)
        for path, old, _ in self._plan.folders:
            if old is None or old.kind != "d":
                self._writer.make_folder(path)

    def _finish(self) -> None:
        """What would be in the way of the rest: links, and modes that lock a folder."""
        for path, old, new in self._plan.links:
            assert new is not None
            self._writer.link(path, new, old if old is not None and old.kind == "l" else None)
        for path, _, new in self._plan.folders:
            assert new is not None
            self._writer.set_mode(path, new.mode)
        self.lock_again()
        self._workspace.sync()

    # files

    async def write(self, file: Wanted) -> None:
        await (self._write_small([file]) if len(file.row.content) <= 1 else self._write_large(file))

    async def _write_small(self, files: Sequence[Wanted]) -> None:
        """Pack by pack: one request brings many files; WRITERS packs are written side by side."""
        await _in_thread(self._writer.write, [file for file in files if not file.row.content], lambda row: b"")
        turns = asyncio.Semaphore(WRITERS)
        async with (
            _together() as tasks,
            aclosing(self._wanted.packs(file for file in files if file.row.content)) as packs,
        ):
            async for wanted, pieces in packs:
                await turns.acquire()
                tasks.create_task(self._write_pack(wanted, pieces)).add_done_callback(lambda _: turns.release())
        damaged, self._damaged = self._damaged, []
        for file in damaged:  # each by itself: what is damaged may be the rest of its pack, or may have been on its way
            await self._write_large(file)

    async def _write_pack(self, files: Sequence[Wanted], pieces: Pieces) -> None:
        writer = Writer(self._workspace, self._folders)
        try:
            damaged = await _in_thread(writer.write, files, pieces.of)
        finally:
            self.restored.add(writer.restored)
        self._damaged += damaged
        self._bytes += sum(file.row.size_bytes for file in files) - sum(file.row.size_bytes for file in damaged)
        self._tell()

    async def _write_large(self, file: Wanted) -> None:
        with self._writer.changing(file.path):
            over = await _in_thread(self._writer.over, file)
            if over is None:
                return
            with self._workspace.draft(file.path) as draft:
                digests = iter(file.row.content)
                async with aclosing(self._wanted.content(file.row)) as pieces:
                    async for piece in pieces:
                        if next(digests) == ZEROS:
                            draft.skip(len(piece))
                        else:
                            await _in_thread(draft.write, piece)
                        self._bytes += len(piece)
                        self._tell()
                await _in_thread(self._writer.commit, draft, file, over)

    def _tell(self) -> None:
        self._progress(
            {
                "files": self.restored.files,
                "of_files": self._plan.files,
                "bytes": self._bytes,
                "of_bytes": self._plan.size_bytes,
            }
        )


def _disk_bytes(row: Row | None) -> int:
    """What it takes on a disk, about."""
    if row is None:
        return 0
    if row.kind != "f":
        return BLOCK_BYTES
    stored = row.size_bytes - CHUNK_BYTES * row.content.count(ZEROS)
    return -(-max(0, stored) // BLOCK_BYTES) * BLOCK_BYTES
