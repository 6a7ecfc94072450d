"""The worker process: `python -m runner.snapshots.worker`. Hashes, compresses, scans and speaks to the store, so that
neither the time nor the memory of it is the server's. Jobs come on standard input, answers go to standard output.

A job is {"id", "do", "store", "prefix", ...}; its answers are any number of {"id", "progress"}, {"id", "piece"} with
data, and one {"id", "result"}, {"id", "error"} or, when it was cancelled, {"id", "cancelled"}. Of jobs that are done
one after another {"id", "turn"} tells that one begins. {"id", "next"} asks for one more piece, {"id", "cancel"} ends
a job, the end of the input ends all. {"ask", "question"} asks the server what only it knows, such as a signature; it
answers with {"ask", "answer"}.
"""

import asyncio
import contextlib
import logging
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeVar

from runner.errors import DevexError
from runner.snapshots import frames
from runner.snapshots.archive import zip_pieces
from runner.snapshots.cache import Cache, discard
from runner.snapshots.collect import collect, purge
from runner.snapshots.compare import changes, changing
from runner.snapshots.frames import Message
from runner.snapshots.history import History, Version
from runner.snapshots.layout import Commit, Name, Row
from runner.snapshots.opening import place_of, store_of
from runner.snapshots.probe import IMPATIENT, probe
from runner.snapshots.restore import restore
from runner.snapshots.search import search
from runner.snapshots.store import Store, StoreError
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Usage, Workspace

MAX_CHANGES: Final = 5_000  # of a comparison; more is not read by people
LISTED: Final = 200  # versions at once
LISTED_CHARACTERS: Final = 2 << 20  # of the names in one answer; each may take 6 bytes, and the server reads them all
VERSIONS_OPEN: Final = 2  # kept for who reads on; each holds an index in memory
QUEUED: Final = 256  # jobs that wait for their turn: more REPLs than one machine runs; who is refused tries again
SEARCHES: Final = 2  # at a time; each has a list of all files, and more wait
ZIPS: Final = 4  # at a time; each has a list of all files for as long as its reader takes, so that more are refused
STILL_S: Final = 60.0  # who asks for no further piece for so long has left
PIECES: Final = 2  # of a file, sent before they are asked for: the server holds them for a slow reader
PIECE_BYTES: Final = 256 << 10
READERS: Final = 8  # of files in one REPL's versions; for each a chunk is held here
READ_AHEAD: Final = 1  # beside them, for each of those who read at once
NICE: Final = 5  # typing goes before saving

log = logging.getLogger("devex.worker")

T = TypeVar("T")
Tell = Callable[[dict[str, Any]], None]


class Worker:
    def __init__(self, send: Callable[[Message, bytes], Awaitable[None]]) -> None:
        self._send = send
        self._stack = AsyncExitStack()
        self._questions = count(1)
        self._stores: dict[str, Store] = {}
        self._opening = asyncio.Lock()
        self._heavy = asyncio.Lock()  # one at a time: the memory is for one
        self._queued = 0
        self._searching = asyncio.Semaphore(SEARCHES)
        self._zips = 0
        self._versions: dict[tuple[str, str, str], Version] = {}
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._readers: Counter[str] = Counter()
        self._wanted: dict[int, asyncio.Semaphore] = {}  # pieces

    async def run(self, reader: asyncio.StreamReader) -> None:
        async with self._stack, asyncio.TaskGroup() as tasks:
            while (got := await frames.read(reader)) is not None:
                message, _ = got
                if "ask" in message:
                    if (asked := self._asked.get(message["ask"])) is not None and not asked.done():
                        asked.set_result(message["answer"])
                    continue
                number = message["id"]
                if "next" in message:
                    if (wanted := self._wanted.get(number)) is not None:
                        wanted.release()
                    continue
                if "cancel" in message:
                    if (task := self._jobs.get(number)) is not None:
                        task.cancel()
                    continue
                task = self._jobs[number] = tasks.create_task(self._job(message), name=f"job {message['do']}")
                task.add_done_callback(partial(self._ended, number))
            for task in self._jobs.values():
                task.cancel()

    def _ended(self, number: int, _: asyncio.Task[None]) -> None:
        del self._jobs[number]

    async def _job(self, job: Message) -> None:
        """A job's outer edge: whatever breaks is its answer."""
        number = job["id"]
        try:
            answer = await self._do(job)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):  # there may be no server any more
                await self._send({"id": number, "cancelled": True}, b"")
            raise
        except DevexError as error:
            answer = {"error": {**error.body()["error"], "status": error.status, "retryable": error.retryable}}
        except Exception as error:
            log.exception("job %s broke", job["do"])
            fault = StoreError("Something went wrong in DEVEX itself.", retryable=True)
            answer = {"error": {**fault.body()["error"], "status": 500, "retryable": True, "cause": repr(error)}}
        else:
            answer = {"result": answer}
        try:
            await self._send({"id": number, **answer}, b"")
        except ValueError:  # longer than the server listens to: it would end this process, and everybody's jobs
            large = DevexError("too_large", "This is too much to be listed.", "Look at a part of it.", status=413)
            await self._send({"id": number, "error": {**large.body()["error"], "status": 413, "retryable": False}}, b"")

    async def _do(self, job: Message) -> Any:
        history = History(await self._store(job["store"]), job["prefix"])
        do = getattr(self, f"do_{job['do']}")
        return await do(job, history)

    async def _store(self, spec: Message) -> Store:
        key = repr(sorted(spec.items()))
        async with self._opening:
            if key not in self._stores:
                self._stores[key] = await self._stack.enter_async_context(store_of(spec, self._ask))
            return self._stores[key]

    async def _ask(self, question: Message) -> Message:
        number = next(self._questions)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"ask": number, "question": question}, b"")
            answered: Message = await answer
            return answered
        finally:
            del self._asked[number]

    @asynccontextmanager
    async def _turn(self, job: Message) -> AsyncIterator[None]:
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
            await self._send({"id": job["id"], "turn": True}, b"")
            yield
        finally:
            self._heavy.release()

    # what writes: one after another

    async def do_take(self, job: Message, history: History) -> Message:
        """workspace, cache, epoch, author, message -> the commit"""
        async with self._turn(job), self._progress(job) as tell:
            with _workspace(job) as workspace:
                return _shown(await _cached(job, lambda cache: take(workspace, history, cache, _label(job), tell)))

    async def do_restore(self, job: Message, history: History) -> Message:
        """workspace, cache, epoch, author, version, path, empty -> {files, removed, notes, noted}

        Unless the workspace is `empty`, what is there becomes a version first.
        """
        path = job.get("path", "")
        async with self._turn(job), self._progress(job) as tell:
            wanted = await history.open(job["version"])
            with _workspace(job) as workspace:
                now: Version | None = None
                if not job.get("empty"):
                    label = _label({**job, "message": f"before restoring {wanted.commit.version}"})
                    before = await _cached(job, lambda cache: take(workspace, history, cache, label))
                    now = await history.open(before.version)
                return asdict(await restore(workspace, wanted, now, path, tell))

    async def do_collect(self, job: Message, history: History) -> Message:
        """cache, epoch -> {versions, objects, bytes}"""
        async with self._turn(job):
            self._close_versions(job)
            now = datetime.now(UTC)
            return asdict(await _cached(job, lambda cache: collect(history, cache, job["epoch"], now)))

    async def do_verify(self, job: Message, history: History) -> Message:
        """-> {versions, chunks, bytes, problems}"""
        async with self._turn(job):
            return asdict(await verify(history))

    async def do_probe(self, job: Message, history: History) -> bool:
        """-> whether the store refuses to replace objects"""
        async with store_of(job["store"], patience=IMPATIENT) as store:
            return await probe(store)

    async def do_purge(self, job: Message, history: History) -> None:
        """cache"""
        async with self._turn(job):
            self._close_versions(job)
            await purge(history)
            discard(Path(job["cache"]))

    # what reads

    async def do_head(self, job: Message, history: History) -> Message | None:
        """-> the newest commit"""
        version = await history.head()
        return None if version is None else _shown(await history.commit(version))

    async def do_list(self, job: Message, history: History) -> Message:
        """before, limit, path -> {versions, next}: commits, newest first, with their names"""
        versions = await history.versions()
        if before := job.get("before"):
            versions = versions[versions.index(before) + 1 :] if before in versions else []
        names = await history.names()
        limit = min(job.get("limit", LISTED), LISTED)
        if path := job.get("path"):
            commits, last = await changing(history, versions, path, limit)
        else:
            commits = await history.commits(versions[:limit])
            last = versions[limit - 1] if len(versions) > limit else None
        left = LISTED_CHARACTERS
        shown: list[Message] = []
        for commit in commits:
            left -= sum(len(at) + len(why) for at, why in commit.notes)
            name = names[commit.version].name if commit.version in names else ""
            shown.append({**_shown(commit), "name": name, "notes": commit.notes if left >= 0 else ()})
        return {"versions": shown, "next": last}

    async def do_name(self, job: Message, history: History) -> None:
        """version, name ("" takes it away), author"""
        name = Name(name=job["name"], author=job["author"], at=datetime.now(UTC).isoformat(timespec="milliseconds"))
        await history.set_name(job["version"], name if job["name"] else None)

    async def do_folder(self, job: Message, history: History) -> Message:
        """version, path -> {entries: rows [name, kind, size in bytes], complete}"""
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

    async def do_changes(self, job: Message, history: History) -> Message:
        """version, since (None: the one before it) -> {changes: [[path, old, new]], more}; old, new: [kind, size]"""
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

    async def do_read(self, job: Message, history: History) -> Message:
        """version, path -> the file in pieces, then {size_bytes, mode}"""
        version = await self._version(job, history, job["version"])
        row = await version.find(job["path"])
        if row.kind != "f":
            raise DevexError("not_a_file", "This is not a file.", "Choose a file.", status=409)
        if self._readers[job["prefix"]] == READERS:
            message = f"{READERS} files of its versions are being downloaded already."
            raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
        self._readers[job["prefix"]] += 1
        try:
            await self._send_pieces(job, version.content(row, READ_AHEAD))
        finally:
            self._readers[job["prefix"]] -= 1
            self._readers += Counter()  # forgets who has none
        return {"size_bytes": row.size_bytes, "mode": row.mode}

    async def do_zip(self, job: Message, history: History) -> None:
        """version, path -> the folder as a ZIP file, in pieces"""
        if self._zips == ZIPS:
            message = f"{ZIPS} versions are being downloaded already."
            raise DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)
        self._zips += 1
        try:
            version = await self._version(job, history, job["version"])
            await self._send_pieces(job, zip_pieces(version, job["path"]))
        finally:
            self._zips -= 1

    async def do_search(self, job: Message, history: History) -> Message:
        """version, query -> {matches: [{path, line, column, length, text, at}], complete}"""
        async with self._searching:
            found = await search(await self._version(job, history, job["version"]), job["query"])
            return {"matches": [match._asdict() for match in found.matches], "complete": found.complete}

    async def _send_pieces(self, job: Message, made: AsyncGenerator[bytes, None]) -> None:
        """At the pace of who asks for them."""
        wanted = self._wanted[job["id"]] = asyncio.Semaphore(PIECES)
        try:
            async with contextlib.aclosing(made) as pieces:
                async for made_piece in pieces:
                    for at in range(0, len(made_piece), PIECE_BYTES):
                        async with asyncio.timeout(STILL_S):
                            await wanted.acquire()
                        await self._send({"id": job["id"], "piece": True}, made_piece[at : at + PIECE_BYTES])
        except TimeoutError:
            message = "The download stood still for too long."
            raise DevexError("too_slow", message, "Start it again.", status=408, retryable=True) from None
        finally:
            del self._wanted[job["id"]]

    async def do_check(self, job: Message, history: History) -> Message:
        """Whether the store answers -> {conditional}"""
        return {"conditional": await history.store.conditional()}

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

    @asynccontextmanager
    async def _progress(self, job: Message) -> AsyncIterator[Tell]:
        """What is told from any thread is sent from the loop; the last of what came too fast counts."""
        loop = asyncio.get_running_loop()
        seen: list[dict[str, Any]] = []
        told = asyncio.Event()

        def tell(what: dict[str, Any]) -> None:
            seen[:] = [what]
            loop.call_soon_threadsafe(told.set)

        async def send() -> None:
            while True:
                await told.wait()
                told.clear()
                await self._send({"id": job["id"], "progress": seen[0]}, b"")

        sending = asyncio.create_task(send(), name="progress")
        try:
            yield tell
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


async def _cached(job: Message, work: Callable[[Cache], Awaitable[T]]) -> T:
    """A cache that breaks (a torn file, a full disk) is thrown away: without one everything is read again."""
    path = Path(job["cache"])
    try:
        with _cache(job) as cache:
            return await work(cache)
    except sqlite3.Error as error:
        log.warning("the cache %s is made anew: %s", path, error)
        discard(path)
    with Cache(None) as cache:
        return await work(cache)


async def _before(history: History, version: str) -> str | None:
    """The next older one that is left."""
    versions = await history.versions()
    later = versions.index(version) + 1 if version in versions else len(versions)
    return versions[later] if later < len(versions) else None


def _workspace(job: Message) -> Workspace:
    owner = job.get("owner")
    limit = Usage(*job["limit"]) if job.get("limit") else None
    root = Path(job["workspace"])
    where = (root, tuple(owner) if owner else None)
    return Workspace(*where, limit) if limit else Workspace(*where)


def _cache(job: Message) -> Cache:
    return Cache(Path(job["cache"]), f"{place_of(job['store'])} {job['prefix']}")


def _label(job: Message) -> Label:
    return Label(epoch=job["epoch"], author=job["author"], message=job["message"])


def _shown(commit: Commit) -> Message:
    fields = asdict(commit)
    del fields["index"], fields["root"]
    return {**fields, "version": commit.version}


def _brief(row: Row | None) -> list[Any] | None:
    return None if row is None else [row.kind, row.size_bytes]


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    sending = asyncio.Lock()

    async def send(message: Message, data: bytes) -> None:
        async with sending:
            writer.write(frames.encode(message, data))
            await writer.drain()

    await Worker(send).run(reader)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    os.nice(NICE)
    asyncio.run(main())
