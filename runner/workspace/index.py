"""The tree as last seen, and what changed since. Blocks: the watcher runs it in a thread, one call at a time.

An event only marks its folder dirty; the truth is read from the disk, after the watch was set. So nothing is missed in
folders that are filled while they are discovered, and a lost event costs a rescan, not a wrong tree.
"""

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from runner.workspace import access, inotify
from runner.workspace.drafts import is_draft
from runner.workspace.entries import Entry, Stat
from runner.workspace.paths import MAX_DEPTH, MAX_NAME_BYTES, MAX_PATH_BYTES, join, parse
from runner.workspace.tree import EXCLUDED, scan
from runner.workspace.workspace import Workspace

MAX_WATCHES: Final = 8_192  # of the 65,536 or more that one user usually has, for all REPLs of a server
MAX_INDEXED: Final = 200_000  # entries; about 40 MB

Op = tuple[str, list[list[str | int]], list[str]]  # folder, rows that are new or different, names that are gone
_Seen = tuple[str, int, int, int]  # kind, size, mtime, inode
_NO_ROOM: Final = {errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


@dataclass(slots=True)
class TreeChanges:
    ops: list[Op] = field(default_factory=list)
    files: set[str] = field(default_factory=set)  # paths whose content may differ or that are gone


class TreeIndex:
    def __init__(self, workspace: Workspace, max_watches: int = MAX_WATCHES) -> None:
        self.stopping = False  # set from the loop's thread: return at the next folder
        self.degraded = False  # not everything is watched: look at everything from time to time
        self._workspace = workspace
        self._max_watches = max_watches
        self._folders: dict[str, dict[str, _Seen]] = {"": {}}
        self._indexed = 0
        self._watched: dict[int, str] = {}
        self._watches: dict[str, int] = {}
        self._inotify: inotify.Inotify | None = None
        try:
            self._inotify = inotify.Inotify()
        except OSError:
            self.degraded = True

    def fileno(self) -> int | None:
        return None if self._inotify is None else self._inotify.fileno()

    def close(self) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def refresh(self, *, everything: bool = False) -> TreeChanges:
        """What changed since the last call, by the events or, with `everything`, by looking at every folder."""
        changes = TreeChanges()
        dirty = self._dirty(changes)
        if everything:
            dirty = set(self._folders)
        pending = sorted(dirty, reverse=True)  # parents first
        while pending and not self.stopping:
            folder = pending.pop()
            if folder in self._folders:
                pending += self._rescan(folder, changes)
        return changes

    def _dirty(self, changes: TreeChanges) -> set[str]:
        dirty: set[str] = set()
        for event in self._inotify.read() if self._inotify else ():
            if event.mask & inotify.Q_OVERFLOW:
                dirty.update(self._folders)
            elif event.mask & inotify.IGNORED:
                self._unmap(event.watch)
            elif (folder := self._watched.get(event.watch)) is not None:
                dirty.add(folder)
                name = os.fsdecode(event.name)
                if event.mask & inotify.CLOSE_WRITE and name and not is_draft(name):
                    # also when size and time look the same: two writes can fall into one tick of the clock
                    changes.files.add(join(folder, name))
        return dirty

    def _rescan(self, folder: str, changes: TreeChanges) -> list[str]:
        """Compare one folder with what was seen; returns folders that are new in it."""
        entries = self._look(folder)
        if entries is None:
            if folder:
                self._forget(folder, changes)
            return []
        old = self._folders[folder]
        new = {entry.name: _seen(entry.stat) for entry in entries}
        removed = [name for name in old if name not in new]
        different = [entry for entry in entries if old.get(entry.name) != new[entry.name]]
        for name in removed:
            self._note(folder, name, old[name][0], changes)
        for entry in different:
            was = old.get(entry.name)
            self._note(folder, entry.name, was[0] if was else entry.stat.kind, changes)
        self._folders[folder] = new
        self._indexed += len(new) - len(old)
        if different or removed:
            changes.ops.append((folder, [entry.row() for entry in different], removed))
        return self._discover(folder, different)

    def _note(self, folder: str, name: str, kind: str, changes: TreeChanges) -> None:
        path = join(folder, name)
        if kind == "d":
            self._forget(path, changes)
        else:
            changes.files.add(path)

    def _discover(self, folder: str, entries: Iterable[Entry]) -> list[str]:
        found = [join(folder, e.name) for e in entries if e.stat.kind == "d" and e.name not in EXCLUDED]
        if not found:
            return []
        too_long = len(os.fsencode(folder)) + 1 + MAX_NAME_BYTES > MAX_PATH_BYTES
        if self._indexed > MAX_INDEXED or folder.count("/") + 2 > MAX_DEPTH or too_long:
            self.degraded = True
            return []
        self._folders.update((path, {}) for path in found)
        return found

    def _look(self, folder: str) -> list[Entry] | None:
        try:
            with access.opened(self._workspace.fileno(), parse(folder), access.FOLDER) as descriptor:
                self._watch(folder, descriptor)
                return scan(descriptor)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise
            return None

    def _watch(self, folder: str, descriptor: int) -> None:
        if self._inotify is None:
            return
        if folder not in self._watches and len(self._watches) >= self._max_watches:
            self.degraded = True
            return
        try:
            watch = self._inotify.add(descriptor)
        except OSError as error:
            self.degraded = self.degraded or error.errno in _NO_ROOM
            return
        if self._watched.get(watch) != folder:  # else the folder was moved here and its watch came along
            self._unmap(watch)
            if (old := self._watches.get(folder)) is not None:
                self._unmap(old)
            self._watched[watch] = folder
            self._watches[folder] = watch

    def _unmap(self, watch: int) -> None:
        if (folder := self._watched.pop(watch, None)) is not None:
            self._watches.pop(folder, None)

    def _forget(self, folder: str, changes: TreeChanges) -> None:
        pending = [folder]
        while pending:
            gone = pending.pop()
            if (entries := self._folders.pop(gone, None)) is None:
                continue
            self._indexed -= len(entries)
            for name, seen in entries.items():
                (pending.append if seen[0] == "d" else changes.files.add)(join(gone, name))
            watch = self._watches.get(gone)
            if watch is not None and self._inotify is not None:
                self._unmap(watch)
                self._inotify.remove(watch)


def _seen(stat: Stat) -> _Seen:
    """Of a folder only which one it is: what is in it is seen in it."""
    if stat.kind == "d":
        return ("d", 0, 0, stat.inode)
    return (stat.kind, stat.size_bytes, stat.mtime_ns, stat.inode)
