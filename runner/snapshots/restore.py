"""Making a workspace, or a part of it, what a version says: only what differs is touched, nothing newer is lost."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.compare import Change, changes
from runner.snapshots.history import Pieces, Version
from runner.snapshots.layout import CHUNK_BYTES, Row
from runner.workspace import ABSENT, Draft, Stat, Workspace

BLOCK_BYTES: Final = 4096  # of a disk: what an entry costs at least

_ZEROS: Final = layout.digest_of(bytes(CHUNK_BYTES))

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
    repeated. Raises StoreError, Damaged, DevexError `quota`.
    """
    found = [change async for change in changes(now, wanted, times=True) if _concerns(change, path)]
    job = _Restore(workspace, wanted, found, progress)
    await job.run()
    return job.restored


def _concerns(change: Change, chosen: str) -> bool:
    """What is at or in the chosen path, and folders on the way to it that are missing."""
    if not chosen or change.path == chosen or change.path.startswith(f"{chosen}/"):
        return True
    on_the_way = change.old is None and change.new is not None and change.new.kind == "d"
    return on_the_way and chosen.startswith(f"{change.path}/")


class _File(NamedTuple):
    """A file to be written; `old` is what is there of the same kind."""

    path: str
    row: Row
    old: Row | None


class _Restore:
    def __init__(self, workspace: Workspace, wanted: Version, found: list[Change], progress: Progress) -> None:
        self.restored = Restored()
        self._workspace = workspace
        self._wanted = wanted
        self._changes = found
        self._progress = progress
        self._files = [
            _File(path, new, old if old is not None and old.kind == "f" else None)
            for path, old, new in found
            if new is not None and new.kind == "f"
        ]
        self._bytes = 0
        self._of_bytes = sum(file.row.size_bytes for file in self._files)

    async def run(self) -> None:
        """Folders and small files first, so that there is something to look at; large ones last."""
        await asyncio.to_thread(self._make_room)
        await self._write_small([file for file in self._files if len(file.row.content) <= 1])
        for file in self._files:
            if len(file.row.content) > 1:
                await self._write_large(file)
        await asyncio.to_thread(self._finish)

    def _make_room(self) -> None:
        held = sum(old.size_bytes for _, old, _ in self._changes if old is not None)
        entries = sum((new is not None) - (old is not None) for _, old, new in self._changes)
        self._workspace.quota.claim(self._of_bytes + BLOCK_BYTES * max(0, entries) - held, entries)
        for path, old, new in self._changes:
            if old is not None and old.kind != "d" and (new is None or new.kind != old.kind):
                self._remove(path, old)
        for path, old, new in reversed(self._changes):  # what is inside first
            if old is not None and old.kind == "d" and (new is None or new.kind != "d"):
                self._remove_folder(path)
        for path, old, new in self._changes:
            if new is not None and new.kind == "d" and (old is None or old.kind != "d"):
                with self._noting(path):
                    self._workspace.mkdir(path, parents=True, exist_ok=True)

    def _remove(self, path: str, old: Row) -> None:
        with self._noting(path):
            if self._as_in(old, path) is None:
                self.restored.note(path, "was changed meanwhile and is left as it is")
                return
            self._workspace.remove(path)
            self.restored.removed += 1

    def _remove_folder(self, path: str) -> None:
        with self._noting(path):
            if not self._workspace.remove_empty(path):
                self.restored.note(path, "still holds files that no version has")

    def _finish(self) -> None:
        """What would be in the way of the rest: links, and modes that lock a folder, the deepest first."""
        for path, old, new in self._changes:
            if new is not None and new.kind == "l":
                with self._noting(path):
                    if old is not None and old.kind == "l":
                        self._remove(path, old)
                    self._workspace.symlink(path, os.fsencode(new.content[0]))
        for path, _, new in reversed(self._changes):
            if new is not None and new.kind == "d":
                with self._noting(path):
                    self._workspace.set_folder_mode(path, new.mode)
        self._workspace.sync()
        self._tell()

    # files

    async def _write_small(self, files: Sequence[_File]) -> None:
        """Pack by pack: one request brings many files."""
        await asyncio.to_thread(self._write_pack, [file for file in files if not file.row.content], None)
        async with aclosing(self._wanted.packs(file for file in files if file.row.content)) as packs:
            async for wanted, pieces in packs:
                await asyncio.to_thread(self._write_pack, wanted, pieces)
                self._tell()

    def _write_pack(self, files: Sequence[_File], pieces: Pieces | None) -> None:
        for file in files:
            piece = b"" if pieces is None else pieces.of(file.row)
            with self._noting(file.path):
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
        with self._noting(file.path):
            over = await asyncio.to_thread(self._over, file)
            if over is None:
                return
            with self._workspace.draft(file.path) as draft:
                digests = iter(file.row.content)
                async for piece in self._wanted.content(file.row):
                    if next(digests) == _ZEROS:
                        draft.skip(len(piece))
                    else:
                        await asyncio.to_thread(draft.write, piece)
                    self._bytes += len(piece)
                    self._tell()
                await asyncio.to_thread(self._commit, draft, file, over)

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
        return found

    def _commit(self, draft: Draft, file: _File, over: Stat | str) -> None:
        draft.commit(expect=over, mode=file.row.mode, mtime_ns=file.row.mtime_ns, durable=False)
        self.restored.files += 1

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
                "of_files": len(self._files),
                "bytes": self._bytes,
                "of_bytes": self._of_bytes,
            }
        )


def _piece(descriptor: int, offset: int) -> bytes:
    pieces = []
    left = CHUNK_BYTES
    while left and (piece := os.pread(descriptor, left, offset)):
        pieces.append(piece)
        offset += len(piece)
        left -= len(piece)
    return b"".join(pieces)
