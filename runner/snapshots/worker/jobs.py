"""What the worker process does: taking, bringing back, collecting, listing, reading versions."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from weakref import WeakValueDictionary

from runner.errors import DevexError
from runner.snapshots import layout, retention
from runner.snapshots.archive import zip_pieces
from runner.snapshots.cache import Cache, discard
from runner.snapshots.collect import collect, held, make_room, purge
from runner.snapshots.compare import changes, changing
from runner.snapshots.history import History
from runner.snapshots.layout import Commit, Damaged, Name, Row
from runner.snapshots.restore import bring, restore
from runner.snapshots.search import search
from runner.snapshots.stores.asking import Ask
from runner.snapshots.stores.opening import place_of, store_of
from runner.snapshots.stores.probe import IMPATIENT, probe
from runner.snapshots.stores.store import Store
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.snapshots.version import Version
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.reply import Reply
from runner.workspace import UNLIMITED, Usage, Workspace

MAX_CHANGES: Final = 5_000  # of a comparison; more is not read by people
LISTED: Final = 200  # versions at once
LISTED_CHARACTERS: Final = 2 << 20  # of the names in one answer; each may take 6 bytes, and the server reads them all
VERSIONS_OPEN: Final = 2  # kept for who reads on; each holds an index in memory
QUEUED: Final = 256  # jobs that wait for their turn: more REPLs than one machine runs; who is refused tries again
READS, READS_OF_ONE = 4, 2  # lists and comparisons at a time, and of one REPL; each holds an index, and more wait
SEARCHES, SEARCHES_OF_ONE = 2, 1  # as these; each has a list of all files
ZIPS: Final = 4  # at a time; each has a list of all files for as long as its reader takes, so that more are refused
READERS: Final = 8  # of files in one REPL's versions; for each a chunk of 4 MiB is held here
READERS_OF_ALL: Final = 64
READ_AHEAD: Final = 1  # beside them, for each of those who read at once

log = logging.getLogger(__name__)

T = TypeVar("T")


class Turns:
    """`most` at a time, `of_one` REPL so many: who asks for a hundred things at once waits for them, others do not."""

    def __init__(self, most: int, of_one: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._of_one = of_one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, job: Message) -> AsyncIterator[None]:
        own = self._own.setdefault(job["prefix"], asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield


class Jobs:
    """`do_NAME` does the job of that name; its docstring says what is in the job beside store and prefix -> the result.

    Use `async with`: stores stay open for the next job. `ask` asks the server.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._stack = AsyncExitStack()
        self._stores: dict[str, Store] = {}
        self._opening = asyncio.Lock()
        self._heavy = asyncio.Lock()  # one at a time: the memory is for one
        self._queued = 0
        self._reading = Turns(READS, READS_OF_ONE)
        self._searching = Turns(SEARCHES, SEARCHES_OF_ONE)
        self._zips = 0
        self._readers: Counter[str] = Counter()
        self._versions: dict[tuple[str, str, str], Version] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def do(self, job: Message, reply: Reply) -> Any:
        """Its result."""
        history = History(await self._store(job["store"]), job["prefix"])
        do = getattr(self, f"do_{job['do']}")
        return await do(job, history, reply)

    async def _store(self, spec: Message) -> Store:
        key = repr(sorted(spec.items()))
        async with self._opening:
            if key not in self._stores:
                self._stores[key] = await self._stack.enter_async_context(store_of(spec, self._ask))
            return self._stores[key]

    @asynccontextmanager
    async def _turn(self, reply: Reply) -> AsyncIterator[None]:
        """One such job after another. Who asked counts the time from here."""
        if self._queued == QUEUED:
            message = f"{QUEUED} others are waiting already for their versions to be saved."
            raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
        self._queued += 1
        try:
            await self._heavy.acquire()
        finally:
            self._queued -= 1
        try:
            await reply.begins()
            yield
        finally:
            self._heavy.release()

    # what writes: one after another

    async def do_take(self, job: Message, history: History, reply: Reply) -> Message:
        """workspace, limit, cache, epoch, author, message -> the commit, and as `crowded` what is to be said of a
        history that has no room
        """
        async with self._turn(reply), reply.progress() as tell:
            with _workspace(job) as workspace:

                async def taken(cache: Cache) -> Message:
                    await self._make_room(job, history, cache)
                    commit = await take(workspace, history, cache, _label(job), tell)
                    return {**_shown(commit), "crowded": cache.crowded()}

                return await _cached(job, taken)

    async def _make_room(self, job: Message, history: History, cache: Cache) -> bool:
        """-> whether there is room."""
        room_bytes = retention.TIMES * _limit(job).disk_bytes
        try:
            done = await make_room(history, cache, job["epoch"], datetime.now(UTC), room_bytes)
        except Damaged as error:  # of what is damaged nothing is given up; what is new is stored all the same
            log.warning("%s is full and cannot be thinned out: %s", history.prefix, error)
            cache.set_crowded(f"The history is full, and is not thinned out: {error.message}")
            done = None
        is_full = (await held(history, cache))[0] > room_bytes
        if done is not None:
            self._close_versions(job)
            if why := retention.crowded(room_bytes, done.sooner, is_full):
                cache.set_crowded(why)
            cache.save()
        return not is_full

    async def do_restore(self, job: Message, history: History, reply: Reply) -> Message:
        """workspace, cache, epoch, author, version, path, empty -> {files, removed, notes, noted}

        Unless the workspace is `empty`, what is there becomes a version first.
        """
        path = job.get("path", "")
        async with self._turn(reply), reply.progress() as tell:
            wanted = await history.open(job["version"])
            with _workspace(job) as workspace:
                now: Version | None = None
                if not job.get("empty"):
                    label = _label({**job, "message": f"before restoring {wanted.commit.version}"})
                    before = await _cached(job, lambda cache: take(workspace, history, cache, label))
                    now = await history.open(before.version)
                return asdict(await restore(workspace, wanted, now, path, tell))

    async def do_bring(self, job: Message, history: History, reply: Reply) -> None:
        """workspace, version, path: a file that no restore has brought back yet, beside it"""
        async with self._reading.turn(job):
            wanted = await self._version(job, history, job["version"])
            with _workspace(job) as workspace:
                await bring(workspace, wanted, job["path"])

    async def do_collect(self, job: Message, history: History, reply: Reply) -> Message:
        """cache, epoch -> {versions, objects, bytes}"""
        async with self._turn(reply):
            self._close_versions(job)
            now = datetime.now(UTC)

            async def collected(cache: Cache) -> Message:
                done = await collect(history, cache, job["epoch"], now)
                cache.set_crowded(None)
                cache.save()
                return asdict(done)

            return await _cached(job, collected)

    async def do_verify(self, job: Message, history: History, reply: Reply) -> Message:
        """-> {versions, chunks, bytes, problems}"""
        async with self._turn(reply):
            return asdict(await verify(history))

    async def do_probe(self, job: Message, history: History, reply: Reply) -> bool:
        """-> whether the store refuses to replace objects"""
        async with store_of(job["store"], patience=IMPATIENT) as store:
            return await probe(store)

    async def do_purge(self, job: Message, history: History, reply: Reply) -> None:
        """cache"""
        async with self._turn(reply):
            self._close_versions(job)
            await purge(history)
            discard(Path(job["cache"]))

    # what reads

    async def do_head(self, job: Message, history: History, reply: Reply) -> Message | None:
        """-> the newest commit"""
        version = await history.head()
        return None if version is None else _shown(await history.commit(version))

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
            async with self._reading.turn(job):
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
            shown.append({**_shown(commit), "name": name, "notes": commit.notes if left >= 0 else ()})
        return {"versions": shown, "next": last}

    async def do_name(self, job: Message, history: History, reply: Reply) -> None:
        """version, name ("" takes it away), author, limit, cache, epoch

        What has a name stays for ever: where there is no room for it, none is given.
        """
        version = job["version"]
        name = Name(name=job["name"], author=job["author"], at=datetime.now(UTC).isoformat(timespec="milliseconds"))
        named = await history.named() if job["name"] else {version}
        if version in named:
            await history.set_name(version, name if job["name"] else None)
            return
        action = "Take the name from one you no longer need."
        if len(named) >= retention.NAMES:
            message = f"{retention.NAMES} versions of this REPL have a name, the most there can be."
            raise DevexError("history_full", message, action, status=409)
        async with self._turn(reply):  # while nothing is thinned out that has no name yet
            await history.set_name(version, name)
            if not await _cached(job, lambda cache: self._make_room(job, history, cache)):
                await history.set_name(version, None)
                message = "The history of this REPL is full of versions with a name."
                raise DevexError("history_full", message, action, status=409)

    async def do_folder(self, job: Message, history: History, reply: Reply) -> Message:
        """version, path -> {entries: rows [name, kind, size in bytes], complete}"""
        async with self._reading.turn(job):
            version = await self._version(job, history, job["version"])
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
        async with self._reading.turn(job):
            since = job.get("since") or await _before(history, job["version"])
            new = await self._version(job, history, job["version"])
            old = await self._version(job, history, since) if since else None
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
        version = await self._version(job, history, job["version"])
        row = await version.find(job["path"])
        if row.kind != "f":
            raise DevexError("not_a_file", "This is not a file.", "Choose a file.", status=409)
        if self._readers[job["prefix"]] == READERS or self._readers.total() >= READERS_OF_ALL:
            message = "Many files of versions are being downloaded already."
            raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
        self._readers[job["prefix"]] += 1
        try:
            await reply.pieces(version.content(row, READ_AHEAD))
        finally:
            self._readers[job["prefix"]] -= 1
            self._readers += Counter()  # forgets who has none
        return {"size_bytes": row.size_bytes, "mode": row.mode}

    async def do_zip(self, job: Message, history: History, reply: Reply) -> None:
        """version, path -> the folder as a ZIP file, in pieces"""
        if self._zips == ZIPS:
            message = f"{ZIPS} versions are being downloaded already."
            raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
        self._zips += 1
        try:
            version = await self._version(job, history, job["version"])
            await reply.pieces(zip_pieces(version, job["path"]))
        finally:
            self._zips -= 1

    async def do_search(self, job: Message, history: History, reply: Reply) -> Message:
        """version, query -> {matches: [{path, line, column, length, text, at}], complete}"""
        async with self._searching.turn(job):
            found = await search(await self._version(job, history, job["version"]), job["query"])
            return {"matches": [match._asdict() for match in found.matches], "complete": found.complete}

    async def _version(self, job: Message, history: History, name: str) -> Version:
        key = (repr(job["store"]), job["prefix"], name)
        version = self._versions.pop(key, None) or await history.open(name)
        self._versions[key] = version  # the last one used is the last in order
        while len(self._versions) > VERSIONS_OPEN:
            del self._versions[next(iter(self._versions))]
        return version

    def _close_versions(self, job: Message) -> None:
        """Of a REPL: they would look for what they name where it will no more be."""
        of = (repr(job["store"]), job["prefix"])
        self._versions = {key: version for key, version in self._versions.items() if key[:2] != of}


async def _cached(job: Message, work: Callable[[Cache], Awaitable[T]]) -> T:
    """A cache that breaks (a full disk, a torn file: what is read there may be anything) is thrown away: without one
    everything is read again.
    """
    path = Path(job["cache"])
    try:
        with _cache(job) as cache:
            return await work(cache)
    except Exception as error:
        if isinstance(error, DevexError) and not isinstance(error, Damaged):  # which the cache has no part in
            raise
        log.warning("the cache %s is made anew: %r", path, error)
        discard(path)
    with Cache(None) as cache:
        return await work(cache)


async def _before(history: History, version: str) -> str | None:
    """The next older one that is left, and whole."""
    versions = await history.versions()
    later = versions.index(version) + 1 if version in versions else len(versions)
    for older in versions[later:]:
        with contextlib.suppress(Damaged):
            return (await history.commit(older)).version
    return None


def _workspace(job: Message) -> Workspace:
    owner = job.get("owner")
    return Workspace(Path(job["workspace"]), tuple(owner) if owner else None, _limit(job))


def _limit(job: Message) -> Usage:
    return Usage(*job["limit"]) if job.get("limit") else UNLIMITED


def _cache(job: Message) -> Cache:
    return Cache(Path(job["cache"]), f"{place_of(job['store'])} {job['prefix']}")


def _label(job: Message) -> Label:
    return Label(epoch=job["epoch"], author=job["author"], message=job["message"])


def _unreadable(version: str, stored_at: datetime) -> Commit:
    """In the place of one that is damaged."""
    epoch, seq = layout.order_of(version)
    at = stored_at.isoformat(timespec="milliseconds")
    message = "damaged: what the store holds of it cannot be read"
    return Commit(
        epoch=epoch, seq=seq, root=(), index=(), parent=None, at=at, author="", message=message, files=0,
        size_bytes=0, added=0,
    )  # fmt: skip


def _shown(commit: Commit) -> Message:
    fields = asdict(commit)
    del fields["index"], fields["root"]
    return {**fields, "version": commit.version}


def _brief(row: Row | None) -> list[Any] | None:
    return None if row is None else [row.kind, row.size_bytes]
