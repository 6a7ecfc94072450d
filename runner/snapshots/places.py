"""Where chunks and trees lie: a table of 40 bytes an entry, where a dictionary takes ten times as much."""

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, Self

from runner.snapshots.layout import Damaged, Digest, Place

_RECORD: Final = struct.Struct("!20sIIIII")  # digest, how many came before, number of the pack, the rest of Place
_DIGEST: Final = slice(0, 20)


class Places:
    def __init__(self, packs: tuple[str, ...], records: bytes) -> None:
        self._packs = packs
        self._records = memoryview(records)

    @classmethod
    def of(cls, found: Iterable[tuple[Digest, Place]]) -> Self:
        """Of two with one digest, the later. Raises Damaged for numbers that no store of ours has."""
        packs: dict[str, int] = {}
        records: list[bytes] = []
        for digest, (pack, *where) in found:
            try:
                pack_number = packs.setdefault(pack, len(packs))
                records.append(_RECORD.pack(bytes.fromhex(digest), len(records), pack_number, *where))
            except struct.error:
                raise Damaged("index") from None
        records.sort()  # of one digest by when it came: a key for each would take as much memory again
        last = [one for one, after in pairwise([*records, b""]) if one[_DIGEST] != after[_DIGEST]]
        return cls(tuple(packs), b"".join(last))

    def __len__(self) -> int:
        return len(self._records) // _RECORD.size

    def __iter__(self) -> Iterator[tuple[Digest, Place]]:
        for digest, _, pack, *where in _RECORD.iter_unpack(self._records):
            yield digest.hex(), Place(self._packs[pack], *where)

    def packs(self) -> set[str]:
        """Those in which something lies."""
        return {place.pack for _, place in self}

    def get(self, digest: Digest) -> Place | None:
        wanted = bytes.fromhex(digest)
        number = bisect_left(range(len(self)), wanted, key=self._digest)
        if number == len(self) or self._digest(number) != wanted:
            return None
        _, _, pack, *where = _RECORD.unpack_from(self._records, number * _RECORD.size)
        return Place(self._packs[pack], *where)

    def _digest(self, number: int) -> bytes:
        at = number * _RECORD.size
        return bytes(self._records[at : at + 20])
