"""Listing folders and walking trees that somebody else changes meanwhile, in bounded time and memory."""

import errno
import os
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
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


@dataclass
class Walk:
    """Iterates over (folder, entries), parents first, without ever following a link.

    Folders that vanish or cannot be read are passed over. Ends early at a bound; `cut` then says which.
    """

    root: int
    start: Parts = ()
    skip: Collection[str] = frozenset()
    entries: int = WALK_ENTRIES
    depth: int = MAX_DEPTH
    budget_s: float = WALK_BUDGET_S
    drafts: bool = False
    cut: Cut = field(default="", init=False)

    def __iter__(self) -> Iterator[tuple[str, list[Entry]]]:
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
            with access.opened(self.root, parts, access.FOLDER) as folder:
                return scan(folder, limit, drafts=self.drafts)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                self.cut = "depth"
            elif error.errno in {errno.EMFILE, errno.ENFILE, errno.EIO}:
                raise
            return None
