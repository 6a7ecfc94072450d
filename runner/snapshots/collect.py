"""Thinning old versions out, and deleting what none of the others names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from runner.snapshots import layout
from runner.snapshots.cache import Cache
from runner.snapshots.history import History, Version
from runner.snapshots.layout import Commit, Digest, Place
from runner.snapshots.retention import kept
from runner.snapshots.store import Fenced
from runner.snapshots.take import write

YOUNG: Final = timedelta(hours=24)  # a snapshot on its way has stored packs that no version names yet
SPARSE: Final = 0.3  # a pack of which less is alive is written anew


@dataclass(frozen=True, slots=True)
class Collected:
    versions: int
    objects: int
    bytes: int


async def collect(history: History, cache: Cache, epoch: int, now: datetime, *, young: timedelta = YOUNG) -> Collected:
    """For the one writer of the REPL, while it takes no version. Raises Fenced, StoreError, Damaged.

    It can be cut off anywhere: commits go first; then the newest version is written once more with an index of only
    what is alive, so that no later version builds on what is about to go; then the rest goes.
    """
    commits = await history.commits(await history.versions())
    if not commits:
        return Collected(0, 0, 0)
    head = commits[0]
    if head.epoch > epoch:
        raise Fenced
    names = await history.names()
    keep = kept(commits, names, now)
    gone = [commit for commit in commits if commit.version not in keep]
    commits = [commit for commit in commits if commit.version in keep]
    await history.store.delete([history.key(layout.commit_key(commit.version)) for commit in gone])
    parts = dict.fromkeys(part for commit in reversed(commits) for part in commit.index)
    alive: dict[Digest, Place] = {}
    everything = Version(history, head, await history.places(parts))
    await reachable(everything, (digest for commit in commits for digest in commit.root), alive)
    before = now - young
    packs = [*await history.objects("p/"), *await history.objects("t/")]
    sizes = {one.key: one.size_bytes for one in packs if one.modified_at < before}
    moved = await _repacked(history, alive, sizes)
    held = {history.key(place.pack) for place in alive.values()}
    dead = [one for one in packs if one.key not in held and one.modified_at < before]
    if dead:
        tidy = await _tidied(history, cache, head, epoch, alive)
        commits = [tidy, *(commit for commit in commits if commit is not head or head.version in names)]
        if head.version not in names:
            await history.store.delete([history.key(layout.commit_key(head.version))])
    named = {history.key(layout.index_key(part)) for commit in commits for part in commit.index}
    dead += [one for one in await history.objects("i/") if one.key not in named and one.modified_at < before]
    await history.store.delete([one.key for one in dead])
    return Collected(len(gone), len(dead), sum(one.size_bytes for one in dead) - moved)


async def purge(history: History) -> None:
    """Delete everything. Versions first, so that what is cut off leaves none that is not whole. Raises StoreError."""
    for kind in ("c/", ""):
        await history.store.delete([one.key for one in await history.objects(kind)])


async def reachable(version: Version, roots: Iterable[Digest], alive: dict[Digest, Place]) -> None:
    """Add every chunk and tree below `roots`, and where it lies, to `alive`; what is in it already is not looked into.

    Raises Damaged.
    """
    trees = list(roots)
    while trees:
        digest = trees.pop()
        if digest in alive:
            continue
        alive[digest] = version.place(digest)
        for row in await version.rows((digest,)):
            if row.kind == "d":
                trees += row.content
            elif row.kind == "f":
                alive.update((chunk, version.place(chunk)) for chunk in row.content)


async def _repacked(history: History, alive: dict[Digest, Place], sizes: Mapping[str, int]) -> int:
    """Write what little is alive of large packs anew, and note in `alive` where it is now; -> bytes written."""
    by_pack: dict[str, list[Digest]] = defaultdict(list)
    for digest, place in alive.items():
        by_pack[place.pack].append(digest)
    written = 0
    for kind in ("p/", "t/"):
        pack, moved = bytearray(), dict[Digest, Place]()
        for old, digests in by_pack.items():
            stored_bytes = sum(alive[digest].stored_bytes for digest in digests)
            size = sizes.get(history.key(old), 0)
            if not old.startswith(kind) or stored_bytes >= SPARSE * size:
                continue
            data = await history.fetch(old)
            for digest in digests:
                place = alive[digest]
                piece = data[place.offset :][: place.stored_bytes]
                layout.chunk(piece, place, digest)  # nothing damaged is carried on
                moved[digest] = place._replace(offset=len(pack))
                pack += piece
            if len(pack) >= layout.PACK_BYTES:
                written += await _store(history, kind[0], pack, moved, alive)
                pack, moved = bytearray(), {}
        written += await _store(history, kind[0], pack, moved, alive)
    return written


async def _store(
    history: History, kind: str, pack: bytearray, moved: Mapping[Digest, Place], alive: dict[Digest, Place]
) -> int:
    if moved:
        key = layout.pack_key("p" if kind == "p" else "t", bytes(pack))
        await history.store.create(history.key(key), bytes(pack))
        alive.update((digest, place._replace(pack=key)) for digest, place in moved.items())
    return len(pack)


async def _tidied(history: History, cache: Cache, head: Commit, epoch: int, alive: Mapping[Digest, Place]) -> Commit:
    data = layout.index_bytes(alive.items())
    part = layout.digest_of(data)
    await history.store.create(history.key(layout.index_key(part)), data)
    tidy = replace(head, epoch=epoch, seq=head.seq + 1, index=(part,))
    await write(history, tidy)
    cache.forget_pending()
    cache.keep_parts(())
    cache.add_part(part, alive.items())
    cache.set_head(tidy)
    cache.save()
    return tidy
