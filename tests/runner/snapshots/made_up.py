"""Histories that no snapshot wrote, as a stranger makes them up for a bundle."""

from collections.abc import Iterable, Iterator, Sequence

from runner.snapshots import layout
from runner.snapshots.bundle import Member
from runner.snapshots.layout import Commit, Digest, Place, Row


class MadeUp:
    """Pieces in one pack of each kind, and versions that name them."""

    def __init__(self) -> None:
        self._packs = {"p": bytearray(), "t": bytearray()}
        self._inside: dict[Digest, tuple[str, int, int, int]] = {}
        self._roots: list[tuple[Digest, ...]] = []

    def piece(self, kind: str, data: bytes) -> Digest:
        """-> of a chunk ("p") or a piece of a folder ("t")."""
        digest, packed = layout.digest_of(data), layout.compressed(data)
        self._inside[digest] = (kind, len(self._packs[kind]), len(packed), len(data))
        self._packs[kind] += packed
        return digest

    def folder(self, rows: Sequence[Row]) -> Digest:
        return self.piece("t", layout.tree_bytes(rows))

    def version(self, *root: Digest) -> None:
        self._roots.append(root)

    def members(self) -> Iterator[Member]:
        packs = {kind: bytes(pack) for kind, pack in self._packs.items()}
        keys = {kind: f"{kind}/{layout.digest_of(pack)}" for kind, pack in packs.items()}
        yield from (Member(keys[kind], pack) for kind, pack in packs.items())
        places = ((digest, Place(keys[kind], *where)) for digest, (kind, *where) in self._inside.items())
        index = layout.index_bytes(places)
        yield Member(layout.index_key(layout.digest_of(index)), index)
        for number, root in enumerate(self._roots, 1):
            commit = a_commit(seq=number, root=root, index=[layout.digest_of(index)])
            yield Member(layout.commit_key(commit.version), layout.commit_bytes(commit))


def a_commit(*, seq: int, root: Iterable[Digest] = (), index: Iterable[Digest] = ()) -> Commit:
    return Commit(
        epoch=1, seq=seq, root=tuple(root), index=tuple(index), parent=None, at="2026-01-01T00:00:00+00:00",
        author="eve", message="test", files=0, size_bytes=0, added=0,
    )  # fmt: skip


def a_file(name: str, *chunks: Digest, size_bytes: int = 0) -> Row:
    return Row(name, "f", 0o644, 0, size_bytes, chunks)


def a_folder(name: str, *content: Digest) -> Row:
    return Row(name, "d", 0o755, 0, 0, content)


def doubled(made: MadeUp, times: int) -> Digest:
    """A folder of 2 ** `times` files, in as many kilobytes as it is deep."""
    digest = made.folder([a_file("f")])
    for _ in range(times):
        digest = made.folder([a_folder("a", digest), a_folder("b", digest)])
    return digest
