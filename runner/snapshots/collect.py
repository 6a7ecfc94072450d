"""Thinning old versions out, and deleting what none of the others names."""

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Final, Literal

from runner.snapshots import layout
from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import Commit, Damaged, Digest, Place
from runner.snapshots.places import Places
from runner.snapshots.retention import ALL, by_worth, kept
from runner.snapshots.stores.store import Fenced, Listed
from runner.snapshots.take import write, write_index
from runner.snapshots.version import Version

YOUNG: Final = timedelta(hours=24)  # a snapshot on its way has stored packs that no version names yet
SPARSE: Final = 0.3  # a pack of which less is alive is written anew
SPARSE_IN_NEED: Final = 0.5  # so that what is dead takes no more room than what is alive
MANY: Final = 1_000  # versions in a row that are not thinned out: each is read when they are
AGAIN: Final = 0.05  # of a history's room is written before it is thinned out again, however full it still is


@dataclass(frozen=True, slots=True)
class Collected:
    versions: int
    objects: int
    bytes: int
    sooner: int = 0  # of the versions, those that retention keeps where there is room


async def collect(
    history: History,
    cache: Cache,
    epoch: int,
    now: datetime,
    *,
    young: timedelta = YOUNG,
    room_bytes: int | None = None,
) -> Collected:
    """For the one writer of the REPL, while it takes no version. Raises Fenced, StoreError, Damaged.

    What is kept takes at most `room_bytes`, unless versions with a name and the newest one take more.

    It can be cut off anywhere: commits go first; then the newest version is written once more with an index of only
    what is alive, so that no later version builds on what is about to go; then the rest goes.
    """
    commits = await _claimed(history, epoch)
    if not commits:
        return Collected(0, 0, 0)
    head = commits[0]
    names = await history.named()
    keep = kept(commits, names, now) - _replaced(commits, names)
    usual = keep | {commit.version for commit in commits if now - commit.taken_at < ALL}
    if room_bytes is not None:
        keep = await _fitting(history, [one for one in commits if one.version in keep], names, room_bytes)
    gone = [commit for commit in commits if commit.version not in keep]
    commits = [commit for commit in commits if commit.version in keep]
    await history.store.delete([history.key(layout.commit_key(commit.version)) for commit in gone])
    places = await _alive(history, commits)
    before = now - young
    packs = [*await history.objects("p/"), *await history.objects("t/")]
    sizes = {layout.name_in(one.key): one.size_bytes for one in packs if one.modified_at < before}
    places, moved_bytes = await _repacked(history, places, sizes, SPARSE if room_bytes is None else SPARSE_IN_NEED)
    dead = _unnamed(packs, places.packs(), before)
    if dead:
        tidy = await _tidied(history, cache, head, epoch, places)
        commits = [tidy, *(commit for commit in commits if commit is not head or head.version in names)]
        if head.version not in names:
            await history.store.delete([history.key(layout.commit_key(head.version))])
    parts = {layout.index_key(part) for part in _parts(commits)}
    dead += _unnamed(await history.objects("i/"), parts, before)
    await history.store.delete([one.key for one in dead])
    freed_bytes = sum(one.size_bytes for one in dead) - moved_bytes
    cache.set_held(sum(one.size_bytes for one in packs) - freed_bytes)
    cache.save()
    sooner = sum(commit.version in usual for commit in gone)
    return Collected(len(gone), len(dead), freed_bytes, sooner)


async def make_room(history: History, cache: Cache, epoch: int, now: datetime, room_bytes: int) -> Collected | None:
    """Where the history takes more than its room: keep what fits into half of it, so that it is not soon done again.
    Where many versions have come, keep what retention keeps.

    -> None when it was not needed. Raises as `collect`. What no version names goes, however young: nobody else writes
    (of another incarnation, the commit does not stay: see `take.write`), and we look whether what we have stored and
    not committed is still there.
    """
    held_bytes, since_bytes = await held(history, cache)
    if held_bytes <= room_bytes or since_bytes < room_bytes * AGAIN:
        return await collect(history, cache, epoch, now) if cache.taken() > MANY else None
    return await collect(history, cache, epoch, now, young=timedelta(0), room_bytes=room_bytes // 2)


async def held(history: History, cache: Cache) -> tuple[int, int]:
    """Bytes of the history in the store, about, and how many of them came since versions were thinned out."""
    found = cache.held()
    if found is None:
        packs = [*await history.objects("p/"), *await history.objects("t/")]
        size_bytes = sum(one.size_bytes for one in packs)
        cache.set_held(0)
        cache.add_sent(size_bytes)
        found = size_bytes, size_bytes
    return found


async def _alive(history: History, commits: Sequence[Commit]) -> Places:
    """Of all that their index names, what the versions themselves do."""
    everything = Version(history.fetch, commits[0], await history.places(_parts(commits)))
    alive: set[bytes] = set()
    async for _ in reachable(everything, (digest for commit in commits for digest in commit.root), alive):
        pass
    return Places.of((digest, place) for digest, place in everything.places if bytes.fromhex(digest) in alive)


def _replaced(commits: Sequence[Commit], names: Collection[str]) -> set[str]:
    """What `_tidied` wrote once more and is still there: we were cut off, or an old signature brought it back, and what
    its index names may be gone.
    """
    return {
        old.version
        for new, old in pairwise(commits)
        if old.version not in names and replace(new, seq=old.seq, index=old.index) == old
    }


def _unnamed(objects: Iterable[Listed], named: Collection[str], before: datetime) -> list[Listed]:
    return [one for one in objects if one.modified_at < before and layout.name_in(one.key) not in named]


async def _fitting(history: History, commits: Sequence[Commit], names: Collection[str], room_bytes: int) -> set[str]:
    everything = Version(history.fetch, commits[0], await history.places(_parts(commits)))
    fitting: set[str] = set()
    alive: set[bytes] = set()
    size_bytes = 0
    for commit in by_worth(commits, names):
        async for _, place in reachable(everything, commit.root, alive):
            size_bytes += place.stored_bytes
        if size_bytes > room_bytes and fitting and commit.version not in names:
            break
        fitting.add(commit.version)
    return fitting


def _parts(commits: Sequence[Commit]) -> Iterable[Digest]:
    """Of their index, the newest last."""
    return dict.fromkeys(part for commit in reversed(commits) for part in commit.index)


async def purge(history: History) -> None:
    """Delete everything. Versions first, so that what is cut off leaves none that is not whole. Raises StoreError."""
    for kind in ("c/", ""):
        await history.store.delete([one.key for one in await history.objects(kind)])


async def _claimed(history: History, epoch: int) -> list[Commit]:
    """All commits, the first of which is ours: from then on nobody older can add one that holds what is to go."""
    commits = await history.every_commit()
    if not commits or commits[0].epoch == epoch:
        return commits
    if commits[0].epoch > epoch:
        raise Fenced
    claim = replace(commits[0], epoch=epoch, seq=commits[0].seq + 1)
    await write(history, claim, commits[0].version)
    return await history.every_commit()


async def reachable(
    version: Version, roots: Iterable[Digest], alive: set[bytes]
) -> AsyncGenerator[tuple[bytes, Place], None]:
    """Every chunk and tree below `roots`, and where it lies; what is in `alive` already is not looked into, and what is
    told is added to it. Raises Damaged.
    """
    trees = list(roots)
    while trees:
        tree = bytes.fromhex(digest := trees.pop())
        if tree in alive:
            continue
        alive.add(tree)
        yield tree, version.place(digest)
        for row in await version.piece(digest):
            if row.kind == "d":
                trees += row.content
            elif row.kind == "f":
                places = [version.place(chunk) for chunk in row.content]  # it is known where each lies
                if sum(place.size_bytes for place in places) != row.size_bytes:  # by which the disk's room is judged
                    raise Damaged("list of files")
                for chunk, place in zip(map(bytes.fromhex, row.content), places, strict=True):
                    if chunk not in alive:
                        alive.add(chunk)
                        yield chunk, place


async def _repacked(
    history: History, places: Places, sizes: Mapping[str, int], sparse_below: float
) -> tuple[Places, int]:
    """Write what little is alive of large packs anew -> where everything is now, and the bytes written."""
    alive: dict[str, int] = defaultdict(int)
    for _, place in places:
        alive[place.pack] += place.stored_bytes
    sparse = {pack for pack, stored_bytes in alive.items() if stored_bytes < sparse_below * sizes.get(pack, 0)}
    by_pack: dict[str, list[tuple[Digest, Place]]] = defaultdict(list)
    for digest, place in places:
        if place.pack in sparse:
            by_pack[place.pack].append((digest, place))
    written, moved = 0, Places.of(())
    kinds: tuple[Literal["p", "t"], ...] = ("p", "t")
    for kind in kinds:
        pack, inside = bytearray(), list[tuple[Digest, Place]]()
        for old in sorted(by_pack):
            if not old.startswith(kind):
                continue
            data = await history.fetch(old)
            for digest, place in by_pack.pop(old):
                piece = place.of(data)
                layout.chunk(piece, place, digest)  # nothing damaged is carried on
                inside.append((digest, place._replace(offset=len(pack))))
                pack += piece
            if len(pack) >= layout.PACK_BYTES:
                moved = Places.of(chain(moved, await _stored(history, kind, pack, inside)))
                written += len(pack)
                pack, inside = bytearray(), []
        if inside:
            moved = Places.of(chain(moved, await _stored(history, kind, pack, inside)))
            written += len(pack)
    return Places.of(chain(places, moved)), written


async def _stored(
    history: History, kind: Literal["p", "t"], pack: bytearray, inside: Iterable[tuple[Digest, Place]]
) -> list[tuple[Digest, Place]]:
    data = bytes(pack)
    key = layout.pack_key(kind, data)
    await history.store.create(history.key(key), data)
    return [(digest, place._replace(pack=key)) for digest, place in inside]


async def _tidied(history: History, cache: Cache, head: Commit, epoch: int, places: Places) -> Commit:
    cache.keep_parts(())
    index = await write_index(history, cache, places)
    tidy = replace(head, epoch=epoch, seq=head.seq + 1, index=index)
    await write(history, tidy, head.version)
    cache.forget_pending()
    cache.set_head(tidy)
    cache.save()
    return tidy
