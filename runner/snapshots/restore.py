"""Making a workspace, or a part of it, what a version says: only what differs is touched, nothing newer is lost."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import zstandard

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.compare import Change, changes
from runner.snapshots.history import Pieces, Version
from runner.snapshots.layout import CHUNK_BYTES, ZEROS, Row
from runner.workspace import ABSENT, Draft, Stat, Workspace

BLOCK_BYTES: Final = 4096  # of a disk: what is written takes a whole number of them
BATCH: Final = 10_000  # small files put in the order of their packs at once
BLOCK: Final = 1_000  # changes compressed together
OPEN: Final = 0o700  # what the owner of a folder needs to change what is in it

P = ParamSpec("P")
T = TypeVar("T")

Progress = Callable[[dict[str, int]], None]
"""Called after every piece with `files`, `of_files`, `bytes` and `of_bytes`."""


@dataclass
class Restored:
    """`notes`: what was left as it is, [path, why], at most MAX_NOTES of `noted`."""

    files: int = 0
    removed: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)
    noted: int = 0

    def note(self, path: str, why: str) -> None:
        self.noted += 1
        if len(self.notes) < layout.MAX_NOTES:
            self.notes.append((path, why))


async def restore(
    workspace: Workspace,
    wanted: Version,
    now: Version | None,
    path: str = "",
    progress: Progress = lambda seen: None,
) -> Restored:
    """Make `path` (a file, a folder, or "" for all) what it was in `wanted`.

    `now` is the version of what lies there, taken just before, so that nothing of it can be lost; None for an empty
    workspace. What changed since, and what no version holds, is left alone and noted; a restore that was cut off is
    repeated. Raises StoreError, Damaged, DevexError `quota` (not for an empty workspace: it did hold this) and others
    of the disk.
    """
    found = _Changes()
    async with aclosing(changes(now, wanted, times=True)) as differing:
        async for change in differing:
            if _concerns(change, path):
                found.add(change)
    job = _Restore(workspace, wanted, found, progress)
    try:
        await job.run(is_empty=now is None)
    finally:
        await _in_thread(job.lock_again)
    return job.restored


def _concerns(change: Change, chosen: str) -> bool:
    """What is at or in the chosen path, and folders on the way to it that are missing."""
    if not chosen or change.path == chosen or change.path.startswith(f"{chosen}/"):
        return True
    on_the_way = change.old is None and change.new is not None and change.new.kind == "d"
    return on_the_way and chosen.startswith(f"{change.path}/")


async def _in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Up to its end, also when we are cancelled meanwhile: what it works on will be closed."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        await asyncio.wait([working])


class _Changes:
    """In their order, compressed: as objects, those of 100,000 files would take 60 MB."""

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
            for path, old, new in json.loads(zstandard.decompress(block)):
                yield Change(path, _row(old), _row(new))
        yield from self._last

    def files(self) -> "Iterator[_File]":
        """To be written."""
        for path, old, new in self:
            if new is not None and new.kind == "f":
                yield _File(path, new, old if old is not None and old.kind == "f" else None)


def _row(fields: list[Any] | None) -> Row | None:
    if fields is None:
        return None
    name, kind, mode, mtime_ns, size_bytes, content = fields
    return Row(name, kind, mode, mtime_ns, size_bytes, tuple(content))


class _File(NamedTuple):
    """A file to be written; `old` is what is there of the same kind."""

    path: str
    row: Row
    old: Row | None


class _Restore:
    def __init__(self, workspace: Workspace, wanted: Version, found: _Changes, progress: Progress) -> None:
        self.restored = Restored()
        self._workspace = workspace
        self._wanted = wanted
        self._changes = found
        self._progress = progress
        self._seen: set[str] = set()  # folders that are open for us to change
        self._locked: dict[str, int] = {}  # of them those that are locked in the end, and their modes
        self._bytes = self._of_bytes = self._of_files = 0

    async def run(self, *, is_empty: bool) -> None:
        """Folders and small files first, so that there is something to look at; large ones last."""
        await _in_thread(self._make_room, is_empty)
        small: list[_File] = []
        for file in self._changes.files():
            if len(file.row.content) <= 1:
                small.append(file)
            if len(small) == BATCH:
                await self._write_small(small)
                small = []
        await self._write_small(small)
        for file in self._changes.files():
            if len(file.row.content) > 1:
                await self._write_large(file)
        await _in_thread(self._finish)

    def lock_again(self) -> None:
        """The folders that were opened for us, or are to be locked; what is inside first."""
        for folder in sorted(self._locked, reverse=True):
            with self._noting(folder):
                self._workspace.set_folder_mode(folder, self._locked[folder])
        self._locked.clear()

    def _make_room(self, is_empty: bool) -> None:
        more_bytes = entries = 0
        for _, old, new in self._changes:
            more_bytes += _disk_bytes(new) - _disk_bytes(old)
            entries += (new is not None) - (old is not None)
            if new is not None and new.kind == "f":
                self._of_files += 1
                self._of_bytes += new.size_bytes
        if not is_empty:
            self._workspace.quota.claim(more_bytes, entries)
        emptied: list[str] = []
        for path, old, new in self._changes:
            if old is not None and old.kind == "d" and (new is None or new.kind != "d"):
                emptied.append(path)
            elif old is not None and old.kind != "d" and (new is None or new.kind != old.kind):
                self._remove(path, old)
        for path in sorted(emptied, reverse=True):  # what is inside first
            self._remove_folder(path)
        for path, old, new in self._changes:
            if new is not None and new.kind == "d" and (old is None or old.kind != "d"):
                with self._changing(path):
                    self._workspace.mkdir(path, parents=True, exist_ok=True)

    def _remove(self, path: str, old: Row) -> bool:
        with self._changing(path):
            if (found := self._as_in(old, path)) is not None:
                self._workspace.remove_unchanged(path, found)
                self.restored.removed += 1
                return True
            self.restored.note(path, "was changed meanwhile and is left as it is")
        return False

    def _remove_folder(self, path: str) -> None:
        with self._changing(path):
            if self._workspace.remove_empty(path):
                self._locked.pop(path, None)
            else:
                self.restored.note(path, "still holds files that no version has")

    def _finish(self) -> None:
        """What would be in the way of the rest: links, and modes that lock a folder."""
        for path, old, new in self._changes:
            if new is not None and new.kind == "l":
                self._link(path, new, old if old is not None and old.kind == "l" else None)
        for path, _, new in self._changes:
            if new is not None and new.kind == "d":
                with self._changing(path):
                    self._locked[path] = new.mode
        self.lock_again()
        self._workspace.sync()
        self._tell()

    def _link(self, path: str, row: Row, old: Row | None) -> None:
        with self._changing(path):
            if old is None and self._workspace.exists(path) and self._as_in(row, path):
                return  # made by a restore that was cut off
            if old is None or self._remove(path, old):
                self._workspace.symlink(path, os.fsencode(row.content[0]), row.mtime_ns)

    # files

    async def _write_small(self, files: Sequence[_File]) -> None:
        """Pack by pack: one request brings many files."""
        await _in_thread(self._write_pack, [file for file in files if not file.row.content], None)
        async with aclosing(self._wanted.packs(file for file in files if file.row.content)) as packs:
            async for wanted, pieces in packs:
                await _in_thread(self._write_pack, wanted, pieces)
                self._tell()

    def _write_pack(self, files: Sequence[_File], pieces: Pieces | None) -> None:
        for file in files:
            piece = b"" if pieces is None else pieces.of(file.row)
            with self._changing(file.path):
                self._write_file(file, piece)
            self._bytes += len(piece)

    def _write_file(self, file: _File, piece: bytes) -> None:
        """Where nothing should be, nobody looks first: of 10,000 files that takes a second, and `commit` looks."""
        if file.old is None:
            try:
                return self._put(file, piece, ABSENT)
            except DevexError as error:
                if error.code != "changed":
                    raise
        if (over := self._over(file)) is not None:
            self._put(file, piece, over)
        return None

    def _put(self, file: _File, piece: bytes, over: Stat | str) -> None:
        with self._workspace.draft(file.path) as draft:
            draft.write(piece)
            self._commit(draft, file, over)

    async def _write_large(self, file: _File) -> None:
        with self._changing(file.path):
            over = await _in_thread(self._over, file)
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
                await _in_thread(self._commit, draft, file, over)

    def _over(self, file: _File) -> Stat | str | None:
        """What the new file takes the place of; None when it is not to be written."""
        if file.old is not None:
            over = self._as_in(file.old, file.path)
            if over is None:
                self.restored.note(file.path, "was changed meanwhile and is left as it is")
            return over
        if not self._workspace.exists(file.path):
            return ABSENT
        found = self._as_in(file.row, file.path)  # by a restore that was cut off
        if found is None:
            self.restored.note(file.path, "was made meanwhile and is left as it is")
        elif (found.mode, found.mtime_ns) == (file.row.mode, file.row.mtime_ns):
            self.restored.files += 1
            return None
        return found

    def _commit(self, draft: Draft, file: _File, over: Stat | str) -> None:
        row = file.row
        done = draft.commit(expect=over, mode=row.mode, mtime_ns=row.mtime_ns, durable=False, apart=True)
        self.restored.files += 1
        if (done.mode, done.mtime_ns) != (row.mode, row.mtime_ns):
            self.restored.note(file.path, "has another time or mode: this disk cannot keep what it had")

    def _as_in(self, row: Row, path: str) -> Stat | None:
        """The Stat of what is there if it is what the version says."""
        found = self._workspace.stat(path)
        if row.kind == "l":
            same = found.kind == "l" and os.fsdecode(self._workspace.read_link(path)) == row.content[0]
            return found if same else None
        if found.kind != "f" or found.size_bytes != row.size_bytes:
            return None
        descriptor = self._workspace.open_read(path)
        try:
            opened = Stat.of(os.fstat(descriptor))
            for number, digest in enumerate(row.content):
                if layout.digest_of(_piece(descriptor, number * CHUNK_BYTES)) != digest:
                    return None
            return opened
        finally:
            os.close(descriptor)

    @contextmanager
    def _changing(self, path: str) -> Iterator[None]:
        """As `_noting`; folders that their owner, who we are, has locked are open until the end."""
        for at, character in enumerate(path):
            if character == "/" and (folder := path[:at]) not in self._seen:
                self._seen.add(folder)
                self._open(folder)
        with self._noting(path):
            yield

    def _open(self, folder: str) -> None:
        if os.geteuid() == 0:  # nothing is locked for us
            return
        with suppress(DevexError):  # it is not there yet, or what is to be done in it fails and is told
            mode = self._workspace.stat(folder).mode
            if mode & OPEN != OPEN:
                self._locked[folder] = self._workspace.set_folder_mode(folder, mode | OPEN)

    @contextmanager
    def _noting(self, path: str) -> Iterator[None]:
        """What the workspace refuses at one path does not keep the others from being restored."""
        try:
            yield
        except DevexError as error:
            if error.status >= 500:  # the store, or the disk
                raise
            self.restored.note(path, error.message)

    def _tell(self) -> None:
        self._progress(
            {
                "files": self.restored.files,
                "of_files": self._of_files,
                "bytes": self._bytes,
                "of_bytes": self._of_bytes,
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


def _piece(descriptor: int, offset: int) -> bytes:
    pieces = []
    left = CHUNK_BYTES
    while left and (piece := os.pread(descriptor, left, offset)):
        pieces.append(piece)
        offset += len(piece)
        left -= len(piece)
    return b"".join(pieces)
