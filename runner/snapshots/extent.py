"""How much the versions of a stranger are when they are laid out: folders may be shared a million times in each."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from runner.snapshots.layout import ZEROS, Digest
from runner.snapshots.version import Version

LISTS_BYTES: Final = 2 << 30  # of all lists of files, unpacked: some 20 million entries that are not the same
PIECES: Final = 5_000_000  # that are remembered, chunks and pieces of folders; half a GiB here


class TooMuch(Exception):
    """More than the versions of one REPL may be."""


class Extent(NamedTuple):
    entries: int
    size_bytes: int

    def plus(self, other: "Extent", times: int = 1) -> "Extent":
        return Extent(self.entries + times * other.entries, self.size_bytes + times * other.size_bytes)


NOTHING: Final = Extent(0, 0)


class Extents:
    """Of one version after the other: whatever they share is read once. `most` is of each, `all_bytes` of the distinct
    content of all of them, unpacked.
    """

    def __init__(self, most: Extent, all_bytes: int) -> None:
        self._most = most
        self._left_bytes = all_bytes
        self._left_lists = LISTS_BYTES
        self._left_pieces = PIECES
        self._known: dict[Digest, Extent] = {}  # of pieces of folders, with all that is below
        self._chunks: set[bytes] = set()

    async def of(self, version: Version) -> Extent:
        """Raises TooMuch, Damaged."""
        todo: list[tuple[Digest, Extent, Mapping[Digest, int] | None]] = [
            (digest, NOTHING, None) for digest in version.commit.root
        ]
        while todo:
            digest, own, inside = todo.pop()
            if inside is not None:
                for below, times in inside.items():
                    own = own.plus(self._known[below], times)
                self._known[digest] = self._checked(own)
            elif digest not in self._known:
                own, inside = await self._read(version, digest)
                todo.append((digest, own, inside))
                todo += [(below, NOTHING, None) for below in inside if below not in self._known]
        whole = NOTHING
        for digest in version.commit.root:
            whole = whole.plus(self._known[digest])
        return self._checked(whole)

    async def _read(self, version: Version, digest: Digest) -> tuple[Extent, Mapping[Digest, int]]:
        """-> of the piece itself, and how often it names which others."""
        self._left_lists -= version.place(digest).size_bytes
        if self._left_lists < 0:
            raise TooMuch
        own = NOTHING
        inside: Counter[Digest] = Counter()
        for row in await version.piece(digest):
            size_bytes = 0
            if row.kind == "d":
                inside.update(row.content)
            elif row.kind == "f":
                is_sparse = len(row.content) > 1  # then zeros are left out when it is written
                size_bytes = sum(
                    self._chunk(version, chunk) for chunk in row.content if chunk != ZEROS or not is_sparse
                )
            own = self._checked(own.plus(Extent(1, size_bytes)))
        self._count(len(inside))
        return own, inside

    def _chunk(self, version: Version, digest: Digest) -> int:
        """-> its bytes, unpacked."""
        size_bytes = version.place(digest).size_bytes
        if (raw := bytes.fromhex(digest)) not in self._chunks:
            self._chunks.add(raw)
            self._count(1)
            self._left_bytes -= size_bytes
            if self._left_bytes < 0:
                raise TooMuch
        return size_bytes

    def _count(self, pieces: int) -> None:
        self._left_pieces -= pieces
        if self._left_pieces < 0:
            raise TooMuch

    def _checked(self, extent: Extent) -> Extent:
        if extent.entries > self._most.entries or extent.size_bytes > self._most.size_bytes:
            raise TooMuch
        return extent
