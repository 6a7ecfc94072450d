"""Reading everything again: is every version there as it was written?"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.collect import reachable
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged, Digest, Place
from runner.snapshots.places import Places
from runner.snapshots.store import StoreError

ROUNDS: Final = 3  # old versions may be thinned out while they are read, and packs with them: then it is done again


@dataclass
class Verified:
    """`problems`: one sentence each."""

    versions: int = 0
    chunks: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


async def verify(history: History) -> Verified:
    """Every hash of every version, also while its writer is at work. Raises StoreError."""
    versions = await history.versions()
    found = await _verified(history, versions)
    for _ in range(ROUNDS - 1):
        before, versions = versions, await history.versions()
        if not found.problems or versions == before:
            break
        found = await _verified(history, versions)
    return found


async def _verified(history: History, versions: Sequence[str]) -> Verified:
    found = Verified()
    seen: set[bytes] = set()
    places = Places.of(())
    for name in versions:
        try:
            version = await history.open(name)
            before = len(seen)
            await reachable(version, version.commit.root, seen)
            if len(seen) > before:
                new = ((digest, place) for digest, place in version.places if bytes.fromhex(digest) in seen)
                places = Places.of(chain(new, places))
        except StoreError:
            raise
        except DevexError as error:
            found.problems.append(f"Version {name}: {error.message}")
        else:
            found.versions += 1
    try:
        await history.names()
    except Damaged as error:
        found.problems.append(error.message)
    by_pack: dict[str, list[Digest]] = defaultdict(list)
    for digest, place in places:
        by_pack[place.pack].append(digest)
    for pack, digests in by_pack.items():
        chunks = [(digest, at) for digest in digests if (at := places.get(digest)) is not None]
        try:
            data = await history.fetch(pack)
        except Damaged as error:
            found.problems.append(error.message)
            continue
        broken = await asyncio.to_thread(_broken, pack, data, chunks)
        if broken:
            found.problems.append(f"{broken} of {len(chunks)} pieces in “{pack}” are damaged.")
        found.chunks += len(chunks) - broken
        found.bytes += len(data)
    return found


def _broken(pack: str, data: bytes, chunks: Sequence[tuple[Digest, Place]]) -> int:
    broken = 0
    for digest, place in chunks:
        try:
            layout.chunk(place.of(data), place, digest)
        except Damaged:
            broken += 1
    if not broken and layout.digest_of(data) != pack.rpartition("/")[2]:
        return len(chunks)
    return broken
