"""A store of which a part is damaged: the rest of it is as good as before, and what is lost is named."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.bringing_back import BringingBack, Restoring
from runner.snapshots.history import History
from runner.snapshots.layout import CHUNK_BYTES, Damaged
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.shelf import a_shelf

CHANCE = random.Random(1)


@dataclass
class Place:
    folder: Path
    snapshots: Snapshots
    history: History

    @property
    def root(self) -> Path:
        return self.folder / "workspace"

    async def take(self) -> str:
        version: str = (await self.snapshots.take("ada", "test"))["version"]
        return version

    def damage(self, key: str, offset: int = 20) -> None:
        path = self.folder / "store" / "r1" / key
        data = bytearray(path.read_bytes())
        data[offset] ^= 1
        path.write_bytes(data)

    def lose(self, key: str) -> None:
        (self.folder / "store" / "r1" / key).unlink()

    async def damage_file(self, version: str, name: str, number: int = 0) -> None:
        opened = await self.history.open(version)
        place = opened.place((await opened.find(name)).content[number])
        self.damage(place.pack, place.offset + place.stored_bytes // 2)

    async def files(self, version: str) -> set[str]:
        """What can be read of a version."""
        opened = await self.history.open(version)
        return {path async for path, row in opened.walk() if await _is_whole(opened.read(path, 64 << 20), row.kind)}


async def _is_whole(reading: object, kind: str) -> bool:
    try:
        await reading  # type: ignore[misc]
    except DevexError as error:
        return kind == "d" and not isinstance(error, Damaged)
    return True


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with Workers() as workers, DirectoryStore(tmp_path / "store") as store:
        yield Place(tmp_path, Snapshots(workers, a_shelf(tmp_path)), History(store, "r1"))


async def three(place: Place) -> list[str]:
    """Versions that hold a file more each, of a pack of its own; the oldest first."""
    versions = []
    for name in "abc":
        (place.root / name).write_bytes(CHANCE.randbytes(1000))
        versions.append(await place.take())
    return versions


@pytest.mark.parametrize("which", [0, 1, 2])
async def test_one_damaged_version_hides_no_other(place: Place, which: int) -> None:
    versions = await three(place)
    await place.snapshots.name(versions[which], "release", "ada")
    place.damage(layout.commit_key(versions[which]))
    listed = (await place.snapshots.versions(None, 10))["versions"]
    assert [one["version"] for one in listed] == versions[::-1]
    assert [one["version"] for one in listed if one["message"].startswith("damaged")] == [versions[which]]
    assert [one["name"] for one in listed if one["name"]] == ["release"]
    assert (await place.snapshots.versions(None, 1))["next"] == versions[2]
    whole = [version for version in versions if version != versions[which]]
    for version in whole:
        assert await place.files(version) == set("abc"[: versions.index(version) + 1])
        assert (await place.snapshots.changes(version, None))["changes"]
    assert (await place.snapshots.versions(None, 10, "a"))["versions"]
    (place.root / "a").write_text("changed")
    later = await place.take()
    assert await place.files(later) == set("abc")
    await place.snapshots.restore(whole[0], "", "ada")
    assert {path.name for path in place.root.iterdir()} == set("abc"[: versions.index(whole[0]) + 1])
    problems = (await place.snapshots.verify())["problems"]
    assert [one for one in problems if not one.startswith(f"Version {versions[which]}: ")] == []
    assert problems


async def test_what_is_saved_after_a_lost_cache_builds_on_no_damaged_version(place: Place, tmp_path: Path) -> None:
    versions = await three(place)
    place.damage(layout.commit_key(versions[2]))
    for path in tmp_path.glob("cache.db*"):
        path.unlink()
    later = await place.take()
    assert layout.order_of(later) > layout.order_of(versions[2])
    assert await place.files(later) == set("abc")


async def test_a_name_that_is_damaged_hides_no_version(place: Place) -> None:
    versions = await three(place)
    await place.snapshots.name(versions[1], "release", "ada")
    (name,) = (place.folder / "store" / "r1" / "n").iterdir()
    place.damage(f"n/{name.name}", 0)
    listed = (await place.snapshots.versions(None, 10))["versions"]
    assert [one["name"] for one in listed] == ["", "a name that is damaged", ""]


@pytest.mark.parametrize("how", ["damaged", "lost"])
async def test_all_that_is_whole_is_restored_and_the_rest_is_named(place: Place, how: str) -> None:
    """What is there now is not replaced by a hole."""
    large = CHANCE.randbytes(2 * CHUNK_BYTES)
    (place.root / "large").write_bytes(large)
    await place.take()
    wanted = (await three(place))[2]
    then = {path.name: path.read_bytes() for path in place.root.iterdir()}
    for name in ("large", "a", "b"):
        (place.root / name).write_text(f"now {name}")
    (place.root / "c").unlink()
    await place.take()
    if how == "damaged":
        await place.damage_file(wanted, "large", 1)
        await place.damage_file(wanted, "b")
    else:
        opened = await place.history.open(wanted)
        for name, number in (("large", 1), ("b", 0)):
            place.lose(opened.place((await opened.find(name)).content[number]).pack)
    done = await place.snapshots.restore(wanted, "", "ada")
    left = {name: f"now {name}".encode() for name in ("large", "b")}
    assert {path.name: path.read_bytes() for path in place.root.iterdir()} == {**then, **left}
    assert (done["files"], done["noted"]) == (2, 2)
    assert {path for path, _ in done["notes"]} == {"large", "b"}
    problems = (await place.snapshots.verify())["problems"]
    for name in ("large", "b"):
        assert any(one.startswith(f"“{name}” of version ") for one in problems)
    assert not any("“a” of" in one or "“c” of" in one for one in problems)


async def test_a_damaged_folder_takes_no_files_away(place: Place) -> None:
    (place.root / "sub").mkdir()
    (place.root / "sub" / "then").write_text("then")
    (place.root / "sub" / "both").write_text("then")
    (place.root / "top").write_text("then")
    wanted = await place.take()
    (place.root / "sub" / "both").write_text("now")
    (place.root / "sub" / "then").unlink()
    (place.root / "sub" / "later").write_text("now")
    (place.root / "top").write_text("now")
    await place.take()
    opened = await place.history.open(wanted)
    where = opened.place((await opened.find("sub")).content[0])
    place.damage(where.pack, where.offset + where.stored_bytes // 2)
    done = await place.snapshots.restore(wanted, "", "ada")
    assert done["notes"] == [["sub", "is left as it is from some file on: the list of what was in it is damaged"]]
    assert (place.root / "top").read_text() == "then"
    assert {path.name: path.read_text() for path in (place.root / "sub").iterdir()} == {"both": "now", "later": "now"}
    assert (await place.snapshots.restore(wanted, "sub/then", "ada"))["noted"] == 1
    assert (await place.snapshots.restore(wanted, "top", "ada"))["noted"] == 0


async def test_a_damaged_index_hides_what_it_tells_of_alone(place: Place) -> None:
    versions = await three(place)
    second = await place.history.commit(versions[1])
    (part,) = set(second.index) - set((await place.history.commit(versions[0])).index)
    place.lose(layout.index_key(part))
    opened = await place.history.open(versions[0])
    assert {path async for path, _ in opened.walk()} == {"a"}
    assert await place.files(versions[0]) == {"a"}
    await place.take()
    (place.root / "d").write_text("new")
    assert "d" in await place.files(await place.take())
    assert (await place.snapshots.verify())["problems"]


async def test_an_empty_workspace_gets_what_is_whole_and_is_told_what_is_not(place: Place) -> None:
    head = (await three(place))[2]
    await place.damage_file(head, "b")
    states: list[Restoring] = []
    elsewhere = Snapshots(place.snapshots._workers, a_shelf(place.folder, "elsewhere", "elsewhere.db"))

    async def quiesce() -> None:
        pass

    async with asyncio.timeout(60):
        await BringingBack(elsewhere, quiesce=quiesce, tell=states.append, restored=place.folder / "restored").run()
    assert {path.name for path in (place.folder / "elsewhere").iterdir()} == {"a", "c"}
    assert (states[-1].done, states[-1].noted, [path for path, _ in states[-1].notes]) == (True, 1, ["b"])
