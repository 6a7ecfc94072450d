"""Taking a version: read what changed, store it in packs, and last of all the commit that names it."""

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final, Literal

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.cache import Cache, Known
from runner.snapshots.history import History
from runner.snapshots.ignored import ignored_in
from runner.snapshots.layout import CHUNK_BYTES, PART_PLACES, ZEROS, Commit, Digest, Place, Row
from runner.snapshots.places import Places
from runner.snapshots.store import Fenced, Missing, StoreError, Taken
from runner.workspace import Stat, Workspace
from runner.workspace.paths import join

BATCH_BYTES: Final = 4 << 20  # what is compressed into one pack; with a chunk that goes beyond it, twice as much
ENTRY_BYTES: Final = 400  # what a chunk takes in memory beside its bytes: of tiny files more than they do
IN_FLIGHT: Final = 2  # packs on their way to the store; with BATCH_BYTES it bounds the memory
PARTS: Final = 20  # index parts of a version beyond those that are full; more are written anew
TRIES: Final = 3  # at a file that is written while it is read
RACY_NS: Final = 2_000_000_000  # a file changed so lately may change again within one tick of its time stamp
MAX_FILE_BYTES: Final = 64 << 30  # 16,384 chunks; only a sparse file pretends to more
MAX_FOLDER: Final = 250_000  # entries of one folder; about 25 MB of names while it is read
BATCH: Final = 1_000  # of them looked up in the cache at once
HOLLOW: Final = 8  # a file of so many times what it takes on the disk: compressed ones are hardly like that
HOLLOW_FREE_BYTES: Final = 64 << 10  # what a small file takes may be nothing
HOLLOW_MOST_BYTES: Final = 2 << 30  # read of all such files: some seconds
PROGRESS_S: Final = 0.2
STALE_FILES: Final = 10_000  # remembered files beyond twice those there are

Progress = Callable[[dict[str, int]], None]
"""Called a few times a second with `files` and `bytes` looked at, and `sent_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Who makes a version and why; `epoch` is of the incarnation that may."""

    epoch: int
    author: str
    message: str


async def take(
    workspace: Workspace,
    history: History,
    cache: Cache,
    label: Label,
    progress: Progress = lambda seen: None,
) -> Commit:
    """The version of what is there now; when nothing changed, the newest one again. -> as read back.

    Not a moment's picture: files are read one after another; each is whole (or noted). Raises Fenced, StoreError,
    Taken where another of the same epoch writes, DevexError when the disk fails.
    """
    head = await _head(history, cache, label.epoch)
    stored = await _known(history, cache, head)
    await _forget_lost(history, cache)
    upload = _Uploads(history, cache, asyncio.get_running_loop())
    scan = _Scan(workspace, cache, upload, stored, progress)
    scanning = asyncio.ensure_future(asyncio.to_thread(scan.run))
    try:
        root = await asyncio.shield(scanning)
    finally:
        await upload.settle()  # which ends the thread, too
        await asyncio.wait([scanning])
    notes = tuple([*scan.notes, *scan.linked][: layout.MAX_NOTES])
    if head is not None and root == head.root and notes == head.notes:
        await asyncio.to_thread(cache.save)
        return head
    index = await _index(history, cache, head)
    commit = Commit(
        epoch=label.epoch,
        seq=(head.seq if head else 0) + 1,
        root=root,
        index=index,
        parent=head.version if head else None,
        at=datetime.now(UTC).isoformat(timespec="milliseconds"),
        author=label.author,
        message=label.message,
        files=scan.files,
        size_bytes=scan.size_bytes,
        added=scan.added,
        notes=notes,
        noted=scan.noted,
    )
    await write(history, commit, commit.parent)
    cache.set_head(commit)
    cache.forget_pending()
    if cache.files() > 2 * scan.files + STALE_FILES:
        cache.forget_files()
    await asyncio.to_thread(cache.save)
    return commit


async def _head(history: History, cache: Cache, epoch: int) -> Commit | None:
    version = await history.head()
    if version is None:
        return None
    head = cache.head(version) or await history.commit(version)
    if head.epoch > epoch:
        raise Fenced
    return head


async def _known(history: History, cache: Cache, head: Commit | None) -> set[bytes]:
    """What the head's index names: only that is sure to be there, whatever the cache remembers."""
    parts = head.index if head else ()
    cache.keep_parts(parts)
    for part in sorted(set(parts) - cache.parts()):
        cache.add_part(part, await history.part(part))
    return cache.stored()


async def _forget_lost(history: History, cache: Cache) -> None:
    """Of what is remembered to lie ready in the store: a collection, or another store, may not have it."""
    packs = cache.pending_packs(time.time())
    if packs:
        there = {layout.name_in(one.key) for kind in ("p/", "t/") for one in await history.objects(kind)}
        cache.forget_packs(packs - there)


async def _index(history: History, cache: Cache, head: Commit | None) -> tuple[Digest, ...]:
    places = Places.of(cache.pending())
    if head is None:
        return await write_index(history, cache, places)
    if not places:
        return head.index
    if len(head.index) < PARTS + cache.count() // PART_PLACES:
        return (*head.index, *await write_index(history, cache, places))
    return await write_index(history, cache, Places.of(chain(cache.places(), cache.pending())))


async def write_index(history: History, cache: Cache, places: Places) -> tuple[Digest, ...]:
    """In parts that can be read one after another."""
    parts: list[Digest] = []
    left = iter(places)
    while piece := list(islice(left, PART_PLACES)):
        data = layout.index_bytes(piece)
        part = layout.digest_of(data)
        await history.store.create(history.key(layout.index_key(part)), data)
        cache.add_part(part, piece)
        parts.append(part)
    return tuple(parts)


async def write(history: History, commit: Commit, after: str | None) -> None:
    """Last of all, then read back: what is acknowledged is what a restore will find. Raises Fenced, Taken.

    `after` was the newest version when this one was begun. Of two incarnations that write at once at least one sees the
    other, and takes back what it wrote: what is in it may be deleted by the other's garbage collection.
    """
    data = layout.commit_bytes(commit)
    key = history.key(layout.commit_key(commit.version))
    await history.store.create(key, data)
    (newest, before, *_), found = await asyncio.gather(_newest(history), _found(history, key))
    if newest is None:
        raise StoreError("The store does not have what it has just taken.", retryable=True)
    if newest == commit.version and before == after:
        if found != data:
            raise Taken(key)
        return
    is_fenced = layout.order_of(newest)[0] > commit.epoch
    if is_fenced or newest == commit.version:
        await history.store.delete([key])
    raise Fenced if is_fenced else Taken(key)


async def _newest(history: History) -> list[str | None]:
    return [*await history.newest(2), None, None]


async def _found(history: History, key: str) -> bytes | None:
    try:
        return await history.store.get(key)
    except Missing:
        return None


@dataclass
class _Batch:
    """What will be one pack."""

    kind: Literal["p", "t"]
    size_bytes: int = 0
    inside: list[tuple[Digest, bytes]] = field(default_factory=list)

    def packed(self) -> tuple[str, bytes, list[tuple[Digest, Place]]]:
        """-> its key, its bytes, and what lies where in it. Blocks: compresses, mostly without Python's lock."""
        pieces = [layout.compressed(data) for _, data in self.inside]
        pack = b"".join(pieces)
        key = layout.pack_key(self.kind, pack)
        places: list[tuple[Digest, Place]] = []
        offset = 0
        for (digest, data), piece in zip(self.inside, pieces, strict=True):
            places.append((digest, Place(key, offset, len(piece), len(data))))
            offset += len(piece)
        self.inside.clear()
        return key, pack, places


class _Uploads:
    """Packs on their way to the store; filled by the scanning thread, which waits when IN_FLIGHT are.

    What has arrived is pending in the cache, and so is what a snapshot that was cut off had stored already.
    """

    def __init__(self, history: History, cache: Cache, loop: asyncio.AbstractEventLoop) -> None:
        self.sent_bytes = 0
        self.chunks = 0  # of files, that the store did not have
        self._history = history
        self._cache = cache
        self._loop = loop
        self._room = threading.BoundedSemaphore(IN_FLIGHT)
        self._open = {"p": _Batch("p"), "t": _Batch("t")}
        self._there = {bytes.fromhex(digest) for digest, _ in cache.pending()}  # or in a pack that is being filled
        self._arrived: list[tuple[Digest, Place]] = []  # and not yet in the cache
        self._tasks: set[asyncio.Task[None]] = set()
        self._error: BaseException | None = None

    def has(self, digest: bytes) -> bool:
        return digest in self._there

    def add(self, kind: Literal["p", "t"], digest: Digest, data: bytes) -> None:
        """In the scanning thread."""
        batch = self._open[kind]
        batch.inside.append((digest, data))
        batch.size_bytes += len(data) + ENTRY_BYTES
        self._there.add(bytes.fromhex(digest))
        self.chunks += kind == "p"
        if batch.size_bytes >= BATCH_BYTES:
            self._close(kind)

    def finish(self) -> None:
        """In the scanning thread: what is left, then wait for all of it."""
        self._close("p")
        self._close("t")
        for _ in range(IN_FLIGHT):
            self._room.acquire()
        self.check()
        self._save()

    def check(self) -> None:
        """In the scanning thread: raises what went wrong."""
        if self._error is not None:
            raise self._error

    async def settle(self) -> None:
        """Nothing goes on after this, whatever happened."""
        self._error = self._error or asyncio.CancelledError()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _close(self, kind: Literal["p", "t"]) -> None:
        batch, self._open[kind] = self._open[kind], _Batch(kind)
        if not batch.inside:
            return
        self._room.acquire()
        try:
            self.check()
            self._save()
            self._loop.call_soon_threadsafe(self._begin, batch)
        except BaseException:
            self._room.release()
            raise

    def _save(self) -> None:
        """What was cut off after this goes on from here."""
        arrived, self._arrived = self._arrived, []
        self._cache.add_pending(arrived, time.time())
        self._cache.save()

    def _begin(self, batch: _Batch) -> None:
        if self._error is not None:
            self._room.release()
            return
        task = self._loop.create_task(self._send(batch), name="upload of a pack")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Also of one that was cancelled before it began: the scanning thread waits for it."""
        self._tasks.discard(task)
        if not task.cancelled():
            self._error = self._error or task.exception()
        self._room.release()

    async def _send(self, batch: _Batch) -> None:
        key, pack, places = await asyncio.to_thread(batch.packed)
        await self._history.store.create(self._history.key(key), pack)
        self.sent_bytes += len(pack)
        self._arrived.extend(places)


class _Scan:
    """Walks the workspace, deepest folders first, and hands over what the store does not have. In one thread."""

    def __init__(
        self,
        workspace: Workspace,
        cache: Cache,
        upload: _Uploads,
        stored: set[bytes],
        progress: Progress,
    ) -> None:
        self.files = self.size_bytes = self.added = self.noted = 0
        self.notes: list[tuple[str, str]] = []
        self.linked: list[tuple[str, str]] = []  # notes, too, but the first to be left out
        self._workspace = workspace
        self._cache = cache
        self._ignored = ignored_in(workspace)
        self._upload = upload
        self._stored = stored
        self._progress = progress
        self._told_s = 0.0
        self._started_ns = time.time_ns()
        self._buffer = bytearray(CHUNK_BYTES)
        self._hollow_bytes = 0

    def run(self) -> tuple[Digest, ...]:
        root = self._folder("")
        self._upload.finish()
        self._tell()
        return root

    def _folder(self, path: str) -> tuple[Digest, ...]:
        """Raises DevexError when it cannot be listed."""
        with self._workspace.folder(path, MAX_FOLDER + 1) as (descriptor, names):
            if len(names) > MAX_FOLDER:
                del names[MAX_FOLDER:]
                self._note(path, f"holds too much: only {MAX_FOLDER} of its entries are in the version")
            return tuple(self._tree(piece) for piece in layout.segments(self._rows(path, descriptor, names)))

    def _rows(self, path: str, descriptor: int, names: list[bytes]) -> Iterator[Row]:
        folder, after = os.fsencode(path), b""
        for begin in range(0, max(1, len(names)), BATCH):
            batch = names[begin : begin + BATCH]
            is_last = begin + BATCH >= len(names)
            known = self._cache.folder(folder, after, None if is_last else batch[-1])
            fresh: dict[bytes, Known] = {}
            for name in batch:
                if (row := self._row(path, descriptor, name, known, fresh)) is not None:
                    yield row
            self._cache.remember(folder, fresh.items(), known)  # what is left in `known` was not seen again
            after = batch[-1] if batch else b""

    def _row(
        self, folder: str, descriptor: int, raw: bytes, known: dict[bytes, Known], fresh: dict[bytes, Known]
    ) -> Row | None:
        self._upload.check()
        name = os.fsdecode(raw)
        path = join(folder, name)
        try:
            found = Stat.of(os.stat(raw, dir_fd=descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None
        if self._ignored(path, found.kind == "d"):
            return None
        try:
            match found.kind:
                case "d":
                    return Row(name, "d", found.mode, 0, 0, self._folder(path))
                case "l":
                    target = os.fsdecode(self._workspace.read_link(path))
                    return Row(name, "l", 0, found.mtime_ns, 0, (target,))
                case "f":
                    self.files += 1
                    self.size_bytes += found.size_bytes
                    if time.monotonic() - self._told_s > PROGRESS_S:
                        self._tell()
                    if found.links > 1:
                        self._note_link(path)
                    return self._file(path, found, known.pop(raw, None), fresh)
            self._note(path, "is a pipe, a socket or a device")
        except DevexError as error:
            if error.code == "overloaded":  # it is we who cannot: not a version without it
                raise
            if error.code not in {"not_found", "not_a_folder"}:  # vanished: it is not there
                self._note(path, error.message)
        return None

    def _file(self, path: str, found: Stat, before: Known | None, fresh: dict[bytes, Known]) -> Row | None:
        name = path.rpartition("/")[2]
        stamp = _stamp(found)
        if before is not None and before.stamp == stamp and all(map(self._has, before.chunks)):
            return Row(name, "f", found.mode, found.mtime_ns, found.size_bytes, before.chunks)
        if found.size_bytes > MAX_FILE_BYTES:
            self._note(path, f"is larger than {MAX_FILE_BYTES >> 30} GiB")
            return None
        handed_over = self._upload.chunks
        row, whole = self._read(path, name, fresh)
        for _ in range(TRIES - 1):
            if not whole:
                row, whole = self._read(path, name, fresh)
        if not whole:
            self._note(path, "was written while it was read, and may be torn")
        self.added += self._upload.chunks > handed_over
        return row

    def _read(self, path: str, name: str, fresh: dict[bytes, Known]) -> tuple[Row, bool]:
        """-> and whether the file stayed the same meanwhile."""
        descriptor = self._workspace.open_read(path)
        try:
            begun = Stat.of(os.fstat(descriptor))
            chunks, size_bytes = self._chunks(path, descriptor, begun)
            ended = Stat.of(os.fstat(descriptor))
        except OSError as error:
            raise DevexError("disk_error", f"could not be read: {error.strerror}", "Try again.", status=500) from error
        finally:
            os.close(descriptor)
        stamp = _stamp(begun)
        whole = stamp == _stamp(ended) and size_bytes == begun.size_bytes
        if whole and begun.ctime_ns < self._started_ns - RACY_NS:  # which, unlike mtime, nobody can set
            fresh[os.fsencode(name)] = Known(stamp, chunks)
        return Row(name, "f", ended.mode, ended.mtime_ns, size_bytes, chunks), whole

    def _chunks(self, path: str, descriptor: int, begun: Stat) -> tuple[tuple[Digest, ...], int]:
        """At most what the file held at first: one that grows for ever ends. Raises DevexError for small holes without
        an end: some MiB on the disk would keep everybody's versions waiting while terabytes of nothing are hashed.
        """
        chunks: list[Digest] = []
        size_bytes = begun.size_bytes
        is_hollow = size_bytes > HOLLOW * begun.disk_bytes + HOLLOW_FREE_BYTES
        offset = 0
        while offset < size_bytes:
            if size_bytes - offset >= CHUNK_BYTES and _is_hole(descriptor, offset, CHUNK_BYTES):
                if not self._has(ZEROS):
                    self._upload.add("p", ZEROS, layout.ZERO_CHUNK)
                chunks.append(ZEROS)
                offset += CHUNK_BYTES
                continue
            if is_hollow and self._hollow_bytes > HOLLOW_MOST_BYTES:
                raise DevexError("hollow", "has more small holes than can be read", "Copy it without holes.")
            view = memoryview(self._buffer)[: min(CHUNK_BYTES, size_bytes - offset)]
            got = 0
            while got < len(view) and (more := os.preadv(descriptor, [view[got:]], offset + got)):
                got += more
            if not got:
                break
            is_cut = got < len(view)  # the file was: what is written behind it now is no part of this reading
            piece = view[:got]
            digest = layout.digest_of(piece)
            if not self._has(digest):
                self._upload.add("p", digest, bytes(piece))
            chunks.append(digest)
            offset += got
            self._hollow_bytes += got * is_hollow
            self._upload.check()
            self._tell(rarely=True)
            if is_cut:
                break
        return tuple(chunks), offset

    def _tree(self, rows: list[Row]) -> Digest:
        data = layout.tree_bytes(rows)
        digest = layout.digest_of(data)
        if not self._has(digest):
            self._upload.add("t", digest, data)
        return digest

    def _has(self, digest: Digest) -> bool:
        raw = bytes.fromhex(digest)
        return raw in self._stored or self._upload.has(raw)

    def _note(self, path: str, why: str) -> None:
        self.noted += 1
        if len(self.notes) < layout.MAX_NOTES:
            self.notes.append((path, why))

    def _note_link(self, path: str) -> None:
        self.noted += 1
        if len(self.linked) < layout.MAX_NOTES:
            self.linked.append((path, "has other names (hard links); restored, it is a file of its own"))

    def _tell(self, *, rarely: bool = False) -> None:
        now_s = time.monotonic()
        if rarely and now_s - self._told_s <= PROGRESS_S:
            return
        self._told_s = now_s
        self._progress({"files": self.files, "bytes": self.size_bytes, "sent_bytes": self._upload.sent_bytes})


def _stamp(found: Stat) -> bytes:
    """Changes whenever the content may have, also for one who sets the time of modification back.

    As text: a time beyond 2262 has nanoseconds that no integer of 64 bits holds.
    """
    return b"%d %d %d %d" % (found.mtime_ns, found.ctime_ns, found.size_bytes, found.inode)


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Whether nothing is stored there (lseek(2), SEEK_DATA); False where the file system cannot say."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO  # no data up to the end of the file
