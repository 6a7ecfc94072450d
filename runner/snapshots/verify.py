"""Reading everything again: is every version there as it was written?"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.collect import reachable
from runner.snapshots.history import History, Version
from runner.snapshots.layout import Damaged, Place
from runner.snapshots.stores.store import StoreError

_PIECE: Final = struct.Struct("!20sIII")  # digest, and of Place the offset, stored bytes, bytes
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
    pieces = await _pieces(history, versions, found)
    try:
        await history.names()
    except Damaged as error:
        found.problems.append(error.message)
    for pack, records in pieces.items():
        try:
            data = await history.fetch(pack)
        except Damaged as error:
            found.problems.append(error.message)
            continue
        count = len(records) // _PIECE.size
        broken = await asyncio.to_thread(_broken, pack, data, records)
        if broken:
            found.problems.append(f"{broken} of {count} pieces in “{pack}” are damaged.")
        found.chunks += count - broken
        found.bytes += len(data)
    return found


async def _pieces(history: History, versions: Sequence[str], found: Verified) -> dict[str, bytearray]:
    """What all versions hold, as _PIECEs by pack: a tenth of the memory that objects would take."""
    pieces: dict[str, bytearray] = defaultdict(bytearray)
    seen: set[bytes] = set()
    for name in versions:
        try:
            await _add_pieces(pieces, await history.open(name), seen)
        except StoreError:
            raise
        except DevexError as error:
            found.problems.append(f"Version {name}: {error.message}")
        else:
            found.versions += 1
    return pieces


async def _add_pieces(pieces: dict[str, bytearray], version: Version, seen: set[bytes]) -> None:
    async for digest, (pack, *where) in reachable(version, version.commit.root, seen):
        pieces[pack] += _PIECE.pack(digest, *where)


def _broken(pack: str, data: bytes, records: bytearray) -> int:
    broken = 0
    for digest, *where in _PIECE.iter_unpack(records):
        place = Place(pack, *where)
        try:
            layout.chunk(place.of(data), place, digest.hex())
        except Damaged:
            broken += 1
    if not broken and layout.digest_of(data) != pack.rpartition("/")[2]:
        return len(records) // _PIECE.size
    return broken
