"""How much a stranger's versions are, found out without laying them out."""

from pathlib import Path

import pytest

from runner.snapshots import extent, layout
from runner.snapshots.extent import Extent, Extents, TooMuch
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged
from runner.snapshots.stores.directory import DirectoryStore
from tests.runner.snapshots.made_up import MadeUp, a_file, a_folder, doubled

MOST = Extent(10_000, 64 << 20)
CHUNK = bytes(range(256)) * 4


async def found(folder: Path, made: MadeUp, most: Extent = MOST, all_bytes: int = 1 << 30) -> list[Extent]:
    """Of each version, the newest first."""
    async with DirectoryStore(folder) as store:
        history = History(store, "r1")
        for name, data in made.members():
            await store.create(history.key(name), data)
        extents = Extents(most, all_bytes)
        return [await extents.of(await history.open(version)) for version in await history.versions()]


async def test_what_is_shared_counts_as_often_as_it_is_there(tmp_path: Path) -> None:
    made = MadeUp()
    chunk = made.piece("p", CHUNK)
    inner = made.folder([a_file("f", chunk, chunk, size_bytes=2048), a_file("g")])
    made.version(made.folder([a_folder("a", inner), a_folder("b", inner), a_file("h", chunk, size_bytes=1024)]))
    made.version(inner)
    assert await found(tmp_path, made) == [Extent(2, 2048), Extent(7, 5120)]


async def test_holes_take_no_room(tmp_path: Path) -> None:
    made = MadeUp()
    chunk, zeros = made.piece("p", CHUNK), made.piece("p", layout.ZERO_CHUNK)
    made.version(made.folder([a_file("f", *[zeros] * 1000, chunk, size_bytes=0)]))
    assert await found(tmp_path, made) == [Extent(1, 1024)]


@pytest.mark.parametrize("is_newest", [True, False])
async def test_folders_shared_without_end_are_too_much(tmp_path: Path, is_newest: bool) -> None:
    made = MadeUp()
    small, bomb = made.folder([a_file("f")]), doubled(made, 2000)
    for root in (small, bomb) if is_newest else (bomb, small):
        made.version(root)
    with pytest.raises(TooMuch):
        await found(tmp_path, made)


async def test_one_chunk_a_million_times_is_too_much(tmp_path: Path) -> None:
    made = MadeUp()
    chunk = made.piece("p", CHUNK)
    made.version(made.folder([a_file("f", *[chunk] * 100_000, size_bytes=1024 * 100_000)]))
    with pytest.raises(TooMuch):
        await found(tmp_path, made)


async def test_what_all_versions_hold_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MadeUp()
    for number in range(10):
        chunk = made.piece("p", CHUNK + bytes([number]))
        made.version(made.folder([a_file("f", chunk, size_bytes=1025)]))
    assert len(await found(tmp_path / "a", made, all_bytes=10 * 1025)) == 10
    with pytest.raises(TooMuch):
        await found(tmp_path / "b", made, all_bytes=9 * 1025)
    monkeypatch.setattr(extent, "PIECES", 9)
    with pytest.raises(TooMuch):
        await found(tmp_path / "c", made)
    monkeypatch.setattr(extent, "PIECES", 10)
    monkeypatch.setattr(extent, "LISTS_BYTES", 500)
    with pytest.raises(TooMuch):
        await found(tmp_path / "d", made)


async def test_what_is_missing_is_damage(tmp_path: Path) -> None:
    made = MadeUp()
    made.version(made.folder([a_folder("a", "0" * 40)]))
    with pytest.raises(Damaged):
        await found(tmp_path, made)
