"""Packs of chunks and trees on their way to the store while the workspace is still being read."""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from runner.snapshots import layout
from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import Digest, Place

BATCH_BYTES: Final = 4 << 20  # what is compressed into one pack; with a chunk that goes beyond it, twice as much
ENTRY_BYTES: Final = 400  # what a chunk takes in memory beside its bytes: of tiny files more than they do
IN_FLIGHT: Final = 2  # packs on their way to the store; with BATCH_BYTES it bounds the memory


@dataclass
class _Batch:
    """What will be one pack."""

    kind: Literal["p", "t"]
    size_bytes: int = 0
    inside: deque[tuple[Digest, bytes]] = field(default_factory=deque)

    def packed(self) -> tuple[str, bytes, list[tuple[Digest, Place]]]:
        """-> its key, its bytes, and what lies where in it. Blocks: compresses, mostly without Python's lock.

        What is compressed is let go at once: two packs on their way would hold 8 MiB more.
        """
        pieces: list[bytes] = []
        sizes: list[tuple[Digest, int]] = []
        while self.inside:
            digest, data = self.inside.popleft()
            pieces.append(layout.compressed(data))
            sizes.append((digest, len(data)))
        pack = b"".join(pieces)
        key = layout.pack_key(self.kind, pack)
        places: list[tuple[Digest, Place]] = []
        offset = 0
        for (digest, size), piece in zip(sizes, pieces, strict=True):
            places.append((digest, Place(key, offset, len(piece), size)))
            offset += len(piece)
        return key, pack, places


class Uploads:
    """Packs on their way to the store; filled by the scanning thread, which waits when IN_FLIGHT are.

    What has arrived is pending in the cache, and so is what a snapshot that was cut off had stored already.
    """

    def __init__(self, history: History, cache: Cache, loop: asyncio.AbstractEventLoop) -> None:
        self.sent_bytes = 0
        self._counted_bytes = 0  # of them in the cache
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
        sent_bytes = self.sent_bytes
        self._cache.add_sent(sent_bytes - self._counted_bytes)
        self._counted_bytes = sent_bytes
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
