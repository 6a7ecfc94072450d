"""Reading everything again: is every version there as it was written?"""

import asyncio
import struct
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.collect import reachable
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged, Digest, Place, Row
from runner.snapshots.stores.store import StoreError
from runner.snapshots.version import Version
from runner.workspace.paths import display

_PIECE: Final = struct.Struct("!20sIII")  # digest, and of Place the offset, stored bytes, bytes
NAMED: Final = 100  # files that are damaged; of more one knows without a list that a backup is needed
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
    lost: set[bytes] = set()
    for pack, records in pieces.items():
        try:
            data = await history.fetch(pack)
        except Damaged as error:
            found.problems.append(error.message)
            lost.update(digest for digest, *_ in _PIECE.iter_unpack(records))
            continue
        count = len(records) // _PIECE.size
        broken = await asyncio.to_thread(_broken, pack, data, records)
        if broken:
            found.problems.append(f"{len(broken)} of {count} pieces in “{pack}” are damaged.")
        lost |= broken
        found.chunks += count - len(broken)
        found.bytes += len(data)
    if lost:
        found.problems += [one async for one in _files_of(history, versions, lost)]
    return found


async def _files_of(history: History, versions: Sequence[str], lost: set[bytes]) -> AsyncGenerator[str, None]:
    """A sentence for each file that cannot be brought back, the first NAMED of them, each in its newest version."""
    left = NAMED
    seen: set[Digest] = set()
    for name in versions:
        try:
            async for path, row in _files(await history.open(name), seen):
                if lost.isdisjoint(map(bytes.fromhex, row.content)):
                    continue
                if not left:
                    yield "There are more."
                    return
                left -= 1
                yield f"“{display(path)}” of version {name} cannot be brought back."
        except StoreError:
            raise
        except DevexError:  # which is told already
            continue


async def _files(version: Version, seen: set[Digest]) -> AsyncIterator[tuple[str, Row]]:
    """In pieces of folders that were not seen before."""
    folders = [("", version.commit.root)]
    while folders:
        folder, content = folders.pop()
        for digest in content:
            if digest in seen:
                continue
            seen.add(digest)
            for row in await version.piece(digest):
                path = f"{folder}/{row.name}" if folder else row.name
                if row.kind == "d":
                    folders.append((path, row.content))
                elif row.kind == "f":
                    yield path, row


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


def _broken(pack: str, data: bytes, records: bytearray) -> set[bytes]:
    broken: set[bytes] = set()
    for digest, *where in _PIECE.iter_unpack(records):
        place = Place(pack, *where)
        try:
            layout.chunk(place.of(data), place, digest.hex())
        except Damaged:
            broken.add(digest)
    if not broken and layout.digest_of(data) != pack.rpartition("/")[2]:
        return {digest for digest, *_ in _PIECE.iter_unpack(records)}
    return broken
