"""Taking a version: read what changed, store it in packs, and last of all the commit that names it."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Final

from runner.snapshots import layout
from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import PART_PLACES, Commit, Damaged, Digest
from runner.snapshots.places import Places
from runner.snapshots.scan import Progress, Scan, Trees
from runner.snapshots.stores.store import Fenced, Missing, StoreError, Taken
from runner.snapshots.uploads import Uploads
from runner.workspace import Workspace

PARTS: Final = 20  # index parts of a version beyond those that are full; more are written anew
STALE_ENTRIES: Final = 10_000  # remembered files and folders beyond twice those there are


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

    Not a moment's picture: files are read one after another from `Commit.at` on; each is whole (or noted).
    Raises Fenced, StoreError, Taken where another of the same epoch writes, DevexError when the disk fails.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    newest, head = await _head(history, cache, label.epoch)
    stored = await _known(history, cache, head)
    await _forget_lost(history, cache)
    await asyncio.to_thread(cache.begin_reading)
    uploads = Uploads(history, cache, asyncio.get_running_loop())
    scan = Scan(workspace, cache, uploads, stored, progress)
    root = await _run(scan, uploads)
    notes = tuple([*scan.notes, *scan.linked][: layout.MAX_NOTES])
    if head is not None and root == head.root and notes == head.notes:
        await asyncio.to_thread(cache.end_reading)
        return head
    index = await _index(history, cache, head)
    commit = Commit(
        epoch=label.epoch,
        seq=(layout.order_of(newest)[1] if newest else 0) + 1,
        root=root,
        index=index,
        parent=newest,
        at=at,
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
    if cache.entries() > 2 * (scan.files + scan.folders) + STALE_ENTRIES:
        cache.forget_entries()
    await asyncio.to_thread(cache.end_reading)
    return commit


async def _run(scan: Scan, uploads: Uploads) -> Trees:
    """To the end of its thread, also when we are cancelled meanwhile."""
    scanning = asyncio.ensure_future(asyncio.to_thread(scan.run))
    try:
        return await asyncio.shield(scanning)
    finally:
        await uploads.settle()  # which ends the thread, too
        await asyncio.wait([scanning])


async def _head(history: History, cache: Cache, epoch: int) -> tuple[str | None, Commit | None]:
    """-> the newest version; without its commit when that is damaged, and all is stored anew."""
    version = await history.head()
    if version is None:
        return None, None
    if layout.order_of(version)[0] > epoch:
        raise Fenced
    try:
        return version, cache.head(version) or await history.commit(version)
    except Damaged:
        return version, None


async def _known(history: History, cache: Cache, head: Commit | None) -> set[bytes]:
    """What the head's index names: only that is sure to be there, whatever the cache remembers."""
    parts = head.index if head else ()
    cache.keep_parts(parts)
    for part in sorted(set(parts) - cache.parts()):
        with suppress(Damaged):  # what lies where it said is stored anew
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
