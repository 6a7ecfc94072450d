"""Files, links and folders of a version, put where they belong: only what still is what it was is replaced."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.layout import CHUNK_BYTES, Row
from runner.workspace import ABSENT, Draft, Stat, Workspace

OPEN: Final = 0o700  # what the owner of a folder needs to change what is in it


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

    def add(self, other: "Restored") -> None:
        self.files += other.files
        self.removed += other.removed
        self.noted += other.noted
        self.notes += other.notes[: layout.MAX_NOTES - len(self.notes)]


class Wanted(NamedTuple):
    """A file to be written; `old` is what is there of the same kind."""

    path: str
    row: Row
    old: Row | None


class Folders:
    """Those that their owner, who we are, has locked are open until the end. For several threads at once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._seen: set[str] = set()
        self._locked: dict[str, int] = {}  # of them those that are locked in the end, and their modes

    def open_to(self, path: str) -> None:
        """All on the way to it."""
        if os.geteuid() == 0:  # nothing is locked for us; to remember 100,000 long paths would take 400 MB
            return
        for at, character in enumerate(path):
            if character == "/" and (folder := path[:at]) not in self._seen:
                with self._lock:  # nobody goes on before it is open
                    self._open(folder)
                    self._seen.add(folder)

    def set_mode(self, folder: str, mode: int) -> None:
        """At the end, where it would lock us out."""
        if mode & OPEN != OPEN and os.geteuid() != 0:
            self._locked[folder] = mode
        else:
            self._workspace.set_folder_mode(folder, mode)
            self.forget(folder)

    def forget(self, folder: str) -> None:
        self._locked.pop(folder, None)

    def to_lock(self) -> list[tuple[str, int]]:
        """And their modes; what is inside first."""
        locked = sorted(self._locked.items(), reverse=True)
        self._locked.clear()
        return locked

    def _open(self, folder: str) -> None:
        with suppress(DevexError):  # it is not there yet, or what is to be done in it fails and is told
            mode = self._workspace.stat(folder).mode
            if mode & OPEN != OPEN:
                self._locked[folder] = self._workspace.set_folder_mode(folder, mode | OPEN)


class Writer:
    """Of one thread; `restored` is what it did."""

    def __init__(self, workspace: Workspace, folders: Folders) -> None:
        self.restored = Restored()
        self._workspace = workspace
        self._folders = folders

    def remove(self, path: str, old: Row) -> bool:
        with self.changing(path):
            if (found := self._as_in(old, path)) is not None:
                self._workspace.remove_unchanged(path, found)
                self.restored.removed += 1
                return True
            self.restored.note(path, "was changed meanwhile and is left as it is")
        return False

    def remove_folder(self, path: str) -> None:
        with self.changing(path):
            if self._workspace.remove_empty(path):
                self._folders.forget(path)
            else:
                self.restored.note(path, "still holds files that no version has")

    def link(self, path: str, row: Row, old: Row | None) -> None:
        with self.changing(path):
            if old is None and self._workspace.exists(path) and self._as_in(row, path):
                return  # made by a restore that was cut off
            if old is None or self.remove(path, old):
                self._workspace.symlink(path, os.fsencode(row.content[0]), row.mtime_ns)

    def make_folder(self, path: str) -> None:
        with self.changing(path):
            self._workspace.mkdir(path, parents=True, exist_ok=True)

    def set_mode(self, folder: str, mode: int) -> None:
        with self.changing(folder):
            self._folders.set_mode(folder, mode)

    def lock(self, folder: str, mode: int) -> None:
        with self._noting(folder):
            self._workspace.set_folder_mode(folder, mode)

    def write(self, files: Iterable[Wanted], content: Callable[[Row], bytes]) -> list[Wanted]:
        """Small ones -> those for which `content` raises Damaged."""
        damaged: list[Wanted] = []
        for file in files:
            try:
                piece = content(file.row)
            except layout.Damaged:
                damaged.append(file)
                continue
            with self.changing(file.path):
                self._write(file, piece)
        return damaged

    def _write(self, file: Wanted, piece: bytes) -> None:
        """Where nothing should be, nobody looks first: of 10,000 files that takes a second, and `commit` looks."""
        if file.old is None:
            try:
                return self._put(file, piece, ABSENT)
            except DevexError as error:
                if error.code != "changed":
                    raise
        if (over := self.over(file)) is not None:
            self._put(file, piece, over)
        return None

    def _put(self, file: Wanted, piece: bytes, over: Stat | str) -> None:
        with self._workspace.draft(file.path) as draft:
            if file.row.content == (layout.ZEROS,):
                draft.skip(len(piece))
            else:
                draft.write(piece)
            self.commit(draft, file, over)

    def over(self, file: Wanted) -> Stat | str | None:
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

    def commit(self, draft: Draft, file: Wanted, over: Stat | str) -> None:
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
    def changing(self, path: str) -> Iterator[None]:
        """As `_noting`, with the folders on the way open."""
        self._folders.open_to(path)
        with self._noting(path):
            yield

    @contextmanager
    def _noting(self, path: str) -> Iterator[None]:
        """What the workspace refuses at one path, or is damaged, does not keep the others from being restored."""
        try:
            yield
        except layout.Damaged:
            self.restored.note(path, "cannot be brought back: what the store holds of it is damaged")
        except DevexError as error:
            if error.status >= 500:  # the store, or the disk
                raise
            self.restored.note(path, error.message)


def _piece(descriptor: int, offset: int) -> bytes:
    pieces = []
    left = CHUNK_BYTES
    while left and (piece := os.pread(descriptor, left, offset)):
        pieces.append(piece)
        offset += len(piece)
        left -= len(piece)
    return b"".join(pieces)
