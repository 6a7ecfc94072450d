"""Listing folders and walking trees that somebody else changes meanwhile, in bounded time and memory."""

import errno
import os
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from runner.workspace import access
from runner.workspace.drafts import is_draft
from runner.workspace.entries import Entry, Stat
from runner.workspace.paths import MAX_DEPTH, Parts, text

Cut = Literal["", "entries", "depth", "time"]

# Rebuilt by tools, rarely read by people, and large: shown, listed on demand, but neither watched nor searched.
EXCLUDED = frozenset({"node_modules", ".venv", "__pycache__", ".git", ".cache"})

MAX_LISTED = 100_000  # of one folder; about 30 MB while it is sent
WALK_BUDGET_S = 20.0  # 200,000 files take about 1 s; a hostile tree or a dying disk ends here
WALK_ENTRIES = 1_000_000
_LISTED = stat.S_IRUSR | stat.S_IXUSR


def scan(folder: int, limit: int = MAX_LISTED, *, drafts: bool = False) -> list[Entry]:
    """The entries of an open folder, unsorted, at most `limit`; half-written files are left out unless `drafts`."""
    found: list[Entry] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not drafts and is_draft(entry.name):
                continue
            if len(found) >= limit:
                break
            try:
                found.append(Entry(entry.name, Stat.of(entry.stat(follow_symlinks=False))))
            except FileNotFoundError:
                continue
    return found


def names(folder: int, limit: int) -> list[bytes]:
    """Of the entries of an open folder, at most `limit`, sorted by their bytes; without half-written files."""
    with os.scandir(folder) as entries:
        found = (os.fsencode(entry.name) for entry in entries if not is_draft(entry.name))
        return sorted(islice(found, limit))


@dataclass
class Walk:
    """Iterates over (folder, entries), parents first, without ever following a link.

    Folders that vanish or cannot be read are passed over; with `unlock`, those that their owner, who we are too, has
    locked are opened until the end. Ends early at a bound; `cut` then says which.
    """

    root: int
    start: Parts = ()
    skip: Collection[str] = frozenset()
    entries: int = WALK_ENTRIES
    depth: int = MAX_DEPTH
    budget_s: float = WALK_BUDGET_S
    drafts: bool = False
    unlock: bool = False
    cut: Cut = field(default="", init=False)
    _locked: list[tuple[Parts, int]] = field(default_factory=list, init=False)

    def __iter__(self) -> Iterator[tuple[str, list[Entry]]]:
        try:
            yield from self._walk()
        finally:
            while self._locked:
                self._lock(*self._locked.pop())  # what is below first: it is reached through what is above

    def _walk(self) -> Iterator[tuple[str, list[Entry]]]:
        ends_at = time.monotonic() + self.budget_s
        left = self.entries
        stack = [self.start]
        while stack:
            if time.monotonic() > ends_at:
                self.cut = "time"
                return
            parts = stack.pop()
            found = self._scan(parts, left + 1)
            if found is None:
                continue
            if len(found) > left:
                self.cut = "entries"
                return
            left -= len(found)
            yield text(parts), found
            below = [(*parts, os.fsencode(entry.name)) for entry in found if self._enters(entry)]
            if below and len(parts) - len(self.start) >= self.depth:
                self.cut = "depth"
            else:
                stack += below

    def _enters(self, entry: Entry) -> bool:
        return entry.stat.kind == "d" and entry.name not in self.skip

    def _scan(self, parts: Parts, limit: int) -> list[Entry] | None:
        try:
            try:
                return self._read(parts, limit)
            except PermissionError:
                if not self.unlock:
                    return None
                self._unlock(parts)
                return self._read(parts, limit)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self.cut = "depth"
            elif error.errno in {errno.EMFILE, errno.ENFILE, errno.EIO}:
                raise
            return None

    def _read(self, parts: Parts, limit: int) -> list[Entry]:
        with access.opened(self.root, parts, access.FOLDER) as folder:
            return scan(folder, limit, drafts=self.drafts)

    def _unlock(self, parts: Parts) -> None:
        with self._pinned(parts) as (path, mode):
            os.chmod(path, mode | _LISTED)
            self._locked.append((parts, mode))

    def _lock(self, parts: Parts, before: int) -> None:
        """As it was, unless a program has given it another mode meanwhile."""
        with suppress(OSError), self._pinned(parts) as (path, mode):
            if mode == before | _LISTED:
                os.chmod(path, before)

    @contextmanager
    def _pinned(self, parts: Parts) -> Iterator[tuple[str, int]]:
        """-> (a path of that very folder, its mode), though it cannot be read."""
        if not parts:  # which cannot be found from itself while it is locked
            yield f"/proc/self/fd/{self.root}", stat.S_IMODE(os.fstat(self.root).st_mode)
            return
        with access.opened(self.root, parts, access.ANCHOR) as folder:
            yield f"/proc/self/fd/{folder}", stat.S_IMODE(os.fstat(folder).st_mode)
