"""Signs for others: the end of `signed.Signer` that holds the credentials."""

import asyncio
import time
from collections.abc import Sequence
from math import inf
from typing import Final

from runner.snapshots import layout, retention
from runner.snapshots.stores.remote import PAGE, Page
from runner.snapshots.stores.s3 import SIGNED_FOR_S, S3Store
from runner.snapshots.stores.signed import Get, Put, Signed
from runner.snapshots.stores.store import LARGEST_BYTES, StoreError

# Of a workspace's size: of a full history what is alive is stored anew before the old goes, and what was deleted counts
# until it is counted again.
STORED_TIMES: Final = 3 * retention.TIMES
OBJECT_BYTES: Final = 64 << 10  # what one counts at least: it costs a store, and whoever lists it, something
MORE_ROOM: Final = "Try again in a few minutes; if it stays so, ask the operator to raise DEVEX_DISK_MIB."
COUNTED_S: Final = float(SIGNED_FOR_S)  # between two counts: what was signed before is there by then, or never will be


class S3Signer:
    """For whoever may have the objects under `prefix`, and no others. What it is asked comes from a stranger.

    For an incarnation, `epoch`, no commit of another one is signed, and no newer one's is deleted. Once a newer one has
    committed, none of its own is signed, and nothing but its own is deleted: outdated, it can do no harm to others.

    Of what it creates there is never much more than `room_bytes` in the store.
    """

    def __init__(self, store: S3Store, prefix: str, epoch: int | None = None, room_bytes: float = inf) -> None:
        self._store = store
        self._prefix = prefix
        self._epoch = epoch
        self._room_bytes = room_bytes
        self._left_bytes = inf if room_bytes == inf else 0.0
        self._counted_s = -inf
        self._counting = asyncio.Lock()

    async def sign(self, request: Get | Put) -> Signed:
        self._require_own([request.key])
        if isinstance(request, Put):
            self._require_epoch([request.key], exactly=True)
            if self._is_commit(request.key):
                await self._require_newest()
        if isinstance(request, Put) and not (0 <= request.size_bytes <= LARGEST_BYTES and len(request.sha256) == 32):
            raise _forbidden()
        if isinstance(request, Put):
            await self._require_room(max(request.size_bytes, OBJECT_BYTES))
        return await self._store.presign(request)

    async def page(self, prefix: str, after: str | None, limit: int) -> Page:
        self._require_own([prefix])
        return await self._store.page(prefix, after, max(1, min(limit, PAGE)))

    async def delete(self, keys: Sequence[str]) -> None:
        self._require_own(keys)
        self._require_epoch(keys, exactly=False)
        if not all(map(self._is_own_commit, keys)):  # which it takes back, outdated
            await self._require_newest()
        await self._store.delete(keys)

    async def conditional(self) -> bool:
        return await self._store.conditional()

    async def _require_newest(self) -> None:
        newest = await self._store.page(f"{self._prefix}c/", None, 1)
        self._require_epoch([one.key for one in newest.found], exactly=False)

    async def _require_room(self, size_bytes: int) -> None:
        async with self._counting:
            if self._left_bytes < size_bytes and time.monotonic() - self._counted_s >= COUNTED_S:
                self._left_bytes = self._room_bytes - await self._held_bytes()
                self._counted_s = time.monotonic()
            if self._left_bytes < size_bytes:
                raise _full()
            self._left_bytes -= size_bytes

    async def _held_bytes(self) -> int:
        """As much as is of interest."""
        held_bytes = 0
        async for one in self._store.list(self._prefix):
            held_bytes += max(one.size_bytes, OBJECT_BYTES)
            if held_bytes > self._room_bytes:
                break
        return held_bytes

    def _require_epoch(self, keys: Sequence[str], *, exactly: bool) -> None:
        """Of commits; what else there is belongs to no epoch."""
        for key in keys:
            if self._epoch is None or not self._is_commit(key):
                continue
            epoch = self._epoch_of(key)
            if epoch > self._epoch or (exactly and epoch != self._epoch):
                raise _forbidden()

    def _epoch_of(self, commit: str) -> int:
        try:
            return int(layout.version_of(commit.removeprefix(self._prefix)).partition("-")[0])
        except layout.Damaged:
            raise _forbidden() from None

    def _is_own_commit(self, key: str) -> bool:
        return self._is_commit(key) and (self._epoch is None or self._epoch_of(key) == self._epoch)

    def _is_commit(self, key: str) -> bool:
        return key.removeprefix(self._prefix).startswith("c/")

    def _require_own(self, keys: Sequence[str]) -> None:
        if not all(key.startswith(self._prefix) for key in keys):
            raise _forbidden()


def _forbidden() -> StoreError:
    return StoreError("The control plane does not sign this.", retryable=False)


def _full() -> StoreError:
    return StoreError("The store holds as much of this REPL as it may.", retryable=True, action=MORE_ROOM)
