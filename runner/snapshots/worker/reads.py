"""The jobs that leave a history as it is: versions are listed, compared, searched, downloaded, checked."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from runner.errors import DevexError
from runner.fair_semaphore import FairSemaphore
from runner.snapshots import layout
from runner.snapshots.archive import zip_pieces
from runner.snapshots.compare import changes, changing
from runner.snapshots.history import History
from runner.snapshots.layout import Commit, Damaged, Row
from runner.snapshots.restore import bring
from runner.snapshots.search import find, search
from runner.snapshots.verify import verify
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.opening import Versions, workspace_of
from runner.snapshots.worker.reply import Reply
from runner.snapshots.worker.turns import Queue, busy

MAX_CHANGES: Final = 5_000  # of a comparison; more is not read by people
LISTED: Final = 200  # versions at once
LISTED_CHARACTERS: Final = 2 << 20  # of the names in one answer; each may take 6 bytes, and the server reads them all
READS, READS_OF_ONE = 4, 2  # lists and comparisons at a time, and of one REPL; each holds an index, and more wait
SEARCHES, SEARCHES_OF_ONE = 2, 1  # as these; each has a list of all files
ZIPS, ZIPS_OF_ONE = 4, 2  # as these, for as long as their readers take: more are refused
READERS, READERS_OF_ONE = 64, 8  # of files in versions, and in one REPL's; for each a chunk of 4 MiB is held here
READ_AHEAD: Final = 1  # beside them, for each of those who read at once


class Reads:
    """A part of `Jobs`. They are done side by side; the one that reads everything waits for its turn in `queue`."""

    def __init__(self, queue: Queue, versions: Versions) -> None:
        self._queue = queue
        self._versions = versions
        self._reading = FairSemaphore(READS, READS_OF_ONE)
        self._searching = FairSemaphore(SEARCHES, SEARCHES_OF_ONE)
        self._zips: Counter[str] = Counter()  # by REPL
        self._readers: Counter[str] = Counter()

    async def do_head(self, job: Message, history: History, reply: Reply) -> Message | None:
        """-> the newest commit"""
        version = await history.head()
        return None if version is None else shown_of(await history.commit(version))

    async def do_list(self, job: Message, history: History, reply: Reply) -> Message:
        """before, limit, path -> {versions, next}: commits, newest first, with their names; of one that is damaged
        `message` says so (with `path` it is left out)
        """
        listed = await history.objects("c/")
        stored_at = {layout.version_of(layout.name_in(one.key)): one.modified_at for one in listed}
        versions = list(stored_at)
        damaged: set[str] = set()
        nameless: set[str] = set()
        if before := job.get("before"):
            versions = versions[versions.index(before) + 1 :] if before in versions else []
        limit = min(job.get("limit", LISTED), LISTED)
        if path := job.get("path"):
            async with self._reading.acquire(job["prefix"]):
                commits, last = await changing(history, versions, path, limit)
        else:
            commits = await history.commits(versions[:limit], damaged)
            commits += [_unreadable(version, stored_at[version]) for version in damaged]
            commits.sort(key=lambda one: (one.epoch, one.seq), reverse=True)
            last = versions[limit - 1] if len(versions) > limit else None
        names = await history.names({commit.version for commit in commits}, nameless)
        left = LISTED_CHARACTERS
        shown: list[Message] = []
        for commit in commits:
            left -= sum(len(at) + len(why) for at, why in commit.notes)
            unknown = "a name that is damaged" if commit.version in nameless else ""
            name = names[commit.version].name if commit.version in names else unknown
            shown.append({**shown_of(commit), "name": name, "notes": commit.notes if left >= 0 else ()})
        return {"versions": shown, "next": last}

    async def do_folder(self, job: Message, history: History, reply: Reply) -> Message:
        """version, path -> {entries: rows [name, kind, size in bytes], complete}"""
        async with self._reading.acquire(job["prefix"]):
            version = await self._versions.get(job, history, job["version"])
            entries: list[list[Any]] = []
            left = LISTED_CHARACTERS
            async with contextlib.aclosing(version.rows(await version.folder(job["path"]))) as rows:
                async for row in rows:
                    left -= len(row.name)
                    if left < 0:
                        return {"entries": entries, "complete": False}
                    entries.append([row.name, row.kind, row.size_bytes])
            return {"entries": entries, "complete": True}

    async def do_changes(self, job: Message, history: History, reply: Reply) -> Message:
        """version, since (None: the one before it) -> {changes: [[path, old, new]], more}; old, new: [kind, size]"""
        async with self._reading.acquire(job["prefix"]):
            since = job.get("since") or await _before(history, job["version"])
            new = await self._versions.get(job, history, job["version"])
            old = await self._versions.get(job, history, since) if since else None
            found: list[list[Any]] = []
            left = LISTED_CHARACTERS
            async with contextlib.aclosing(changes(old, new)) as differing:
                async for path, a, b in differing:
                    left -= len(path)
                    if len(found) >= MAX_CHANGES or left < 0:
                        return {"changes": found, "more": True}
                    found.append([path, _brief(a), _brief(b)])
            return {"changes": found, "more": False}

    async def do_read(self, job: Message, history: History, reply: Reply) -> Message:
        """version, path -> the file in pieces, then {size_bytes, mode}"""
        version = await self._versions.get(job, history, job["version"])
        row = await version.find(job["path"])
        if row.kind != "f":
            raise DevexError("not_a_file", "This is not a file.", "Choose a file.", status=409)
        with _one_more(self._readers, job["prefix"], READERS, READERS_OF_ONE):
            await reply.pieces(version.content(row, READ_AHEAD))
        return {"size_bytes": row.size_bytes, "mode": row.mode}

    async def do_zip(self, job: Message, history: History, reply: Reply) -> None:
        """version, path -> the folder as a ZIP file, in pieces"""
        with _one_more(self._zips, job["prefix"], ZIPS, ZIPS_OF_ONE):
            version = await self._versions.get(job, history, job["version"])
            await reply.pieces(zip_pieces(version, job["path"]))

    async def do_find(self, job: Message, history: History, reply: Reply) -> Message:
        """version, query -> {paths, complete}"""
        async with self._searching.acquire(job["prefix"]):
            paths, complete = await find(await self._versions.get(job, history, job["version"]), job["query"])
            return {"paths": paths, "complete": complete}

    async def do_search(self, job: Message, history: History, reply: Reply) -> Message:
        """version, query -> {matches: [{path, line, column, length, text, at}], complete}"""
        async with self._searching.acquire(job["prefix"]):
            found = await search(await self._versions.get(job, history, job["version"]), job["query"])
            return {"matches": [match._asdict() for match in found.matches], "complete": found.complete}

    async def do_bring(self, job: Message, history: History, reply: Reply) -> None:
        """workspace, version, path: a file that no restore has brought back yet, beside it"""
        async with self._reading.acquire(job["prefix"]):
            wanted = await self._versions.get(job, history, job["version"])
            with workspace_of(job) as workspace:
                await bring(workspace, wanted, job["path"])

    async def do_verify(self, job: Message, history: History, reply: Reply) -> Message:
        """-> {versions, chunks, bytes, problems}"""
        async with self._queue.turn(reply):
            return asdict(await verify(history))


@contextlib.contextmanager
def _one_more(held: Counter[str], prefix: str, most: int, of_one: int) -> Iterator[None]:
    """Refused rather than waited for: those who are there may stand still."""
    if held[prefix] >= of_one or held.total() >= most:
        raise busy("Many versions are being downloaded already.")
    held[prefix] += 1
    try:
        yield
    finally:
        held[prefix] -= 1
        if not held[prefix]:
            del held[prefix]


async def _before(history: History, version: str) -> str | None:
    """The next older one that is left, and whole."""
    versions = await history.versions()
    later = versions.index(version) + 1 if version in versions else len(versions)
    for older in versions[later:]:
        with contextlib.suppress(Damaged):
            return (await history.commit(older)).version
    return None


def _unreadable(version: str, stored_at: datetime) -> Commit:
    """In the place of one that is damaged."""
    epoch, seq = layout.order_of(version)
    at = stored_at.isoformat(timespec="milliseconds")
    message = "damaged: what the store holds of it cannot be read"
    return Commit(
        epoch=epoch, seq=seq, root=(), index=(), parent=None, at=at, author="", message=message, files=0,
        size_bytes=0, added=0,
    )  # fmt: skip


def shown_of(commit: Commit) -> Message:
    """As the server and people are told of it."""
    fields = asdict(commit)
    del fields["index"], fields["root"]
    return {**fields, "version": commit.version}


def _brief(row: Row | None) -> list[Any] | None:
    return None if row is None else [row.kind, row.size_bytes]
