"""Files of a version by name, and text in them: as `runner.workspace.search` finds them, with the same bounds."""

import asyncio
import time
from contextlib import aclosing
from typing import Final, NamedTuple

from runner.snapshots.version import Found, Pieces, Version
from runner.workspace.search import (
    FOUND,
    MAX_FILES,
    MAX_MATCHES,
    MAX_MATCHES_PER_FILE,
    MAX_SEARCHED_FILE_BYTES,
    SEARCH_BUDGET_S,
    Match,
    Matches,
    matches_in,
    needle_of,
    rank,
)
from runner.workspace.tree import EXCLUDED

ENTRY_BYTES: Final = 600  # of memory, for each file but for its path
FOUND_BYTES: Final = 80 << 20  # as many files as are searched, with paths of 200 characters


async def search(version: Version, query: str) -> Matches:
    """Lines with the query, by path; incomplete when the time or the room for them was over."""
    job = _Search(needle_of(query), time.monotonic() + SEARCH_BUDGET_S, [])
    complete = True
    try:
        async with asyncio.timeout(SEARCH_BUDGET_S):
            files, complete = await _files(version)
            async with aclosing(version.packs(files)) as packs:
                async for wanted, pieces in packs:
                    complete = await asyncio.to_thread(job.look, wanted, pieces) and complete
                    if len(job.found) > MAX_MATCHES:
                        break
    except TimeoutError:
        complete = False
    return Matches(sorted(job.found[:MAX_MATCHES]), complete and len(job.found) <= MAX_MATCHES)


async def find(version: Version, query: str) -> tuple[list[str], bool]:
    """-> paths of files by a few letters of their names, best first; whether all were looked at"""
    paths: list[str] = []
    left_bytes, complete = FOUND_BYTES, True
    async for path, row in version.walk(skip=EXCLUDED):
        if row.kind == "f":
            left_bytes -= ENTRY_BYTES + len(path)
            if complete := left_bytes >= 0 and len(paths) < MAX_FILES:
                paths.append(path)
            else:
                break
    return await asyncio.to_thread(rank, paths, query, FOUND), complete


async def _files(version: Version) -> tuple[list[Found], bool]:
    """What is searched: files of one chunk, MAX_FILES that take FOUND_BYTES at most -> (them, whether all)"""
    files: list[Found] = []
    left_bytes = FOUND_BYTES
    async for path, row in version.walk(skip=EXCLUDED):
        if row.kind == "f" and len(row.content) == 1 and row.size_bytes <= MAX_SEARCHED_FILE_BYTES:
            left_bytes -= ENTRY_BYTES + len(path)
            if len(files) == MAX_FILES or left_bytes < 0:
                return files, False
            files.append(Found(path, row))
    return files, True


class _Search(NamedTuple):
    needle: str
    ends_at: float
    found: list[Match]

    def look(self, files: list[Found], pieces: Pieces) -> bool:
        """In a thread; whether all of these files were looked through."""
        complete = True
        for path, row in files:
            if time.monotonic() > self.ends_at or len(self.found) > MAX_MATCHES:
                return False
            matches = matches_in(path, pieces.of(row), self.needle)
            complete = complete and len(matches) < MAX_MATCHES_PER_FILE
            self.found.extend(matches)
        return complete
