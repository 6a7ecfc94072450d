"""Bringing a version back, whole or in part: only what differs is touched, and nothing newer is lost."""

import asyncio
import random
from pathlib import Path

from runner.snapshots import layout
from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.take import Label, take
from runner.workspace import Workspace
from tests.runner.snapshots.jobs import picture
from tests.runner.snapshots.place import Place, restored_elsewhere


async def test_restoring_leaves_alone_what_no_version_has(place: Place) -> None:
    (place.root / "app" / "node_modules").mkdir(parents=True)
    (place.root / "app" / "node_modules" / "x").write_text("installed")
    empty = await place.take()
    (place.root / "app" / "main.js").write_text("new")
    done = await place.restore(empty.version)
    assert done.removed == 1
    assert picture(place.root).keys() == {b"app", b"app/node_modules", b"app/node_modules/x"}


async def test_one_file_or_folder_is_restored(place: Place) -> None:
    (place.root / "a").mkdir()
    for name in ("a/one", "a/two", "three"):
        (place.root / name).write_text("old")
    first = await place.take()
    for name in ("a/one", "a/two", "three"):
        (place.root / name).write_text("new")
    await place.restore(first.version, "a/one")
    assert [(place.root / name).read_text() for name in ("a/one", "a/two", "three")] == ["old", "new", "new"]
    await place.restore(first.version, "a")
    assert [(place.root / name).read_text() for name in ("a/one", "a/two", "three")] == ["old", "old", "new"]
    (place.root / "a" / "one").unlink()
    (place.root / "a" / "two").unlink()
    (place.root / "a").rmdir()
    await place.restore(first.version, "a/two")
    assert (place.root / "a" / "two").read_text() == "old"


async def test_what_changed_after_the_picture_was_taken_is_not_overwritten(place: Place) -> None:
    for name in ("edited", "deleted", "untouched"):
        (place.root / name).write_text("old")
    first = await place.take()
    for name in ("edited", "deleted", "untouched", "added"):
        (place.root / name).write_text("new")
    now = await place.history.open((await place.take()).version)
    (place.root / "edited").write_text("newest")
    (place.root / "deleted").unlink()
    (place.root / "added").write_text("newest")
    done = await restore(place.workspace, await place.history.open(first.version), now)
    assert {path for path, _ in done.notes} >= {"edited", "added"}
    assert (place.root / "edited").read_text() == (place.root / "added").read_text() == "newest"
    assert (place.root / "untouched").read_text() == "old"


async def test_a_restore_that_was_cut_off_goes_on(place: Place, tmp_path: Path) -> None:
    for number in range(20):
        (place.root / f"f{number}").write_text(f"text {number}")
    version = await place.history.open((await place.take()).version)
    target = tmp_path / "target"
    target.mkdir()
    (target / "f3").write_text("text 3")
    with Workspace(target) as workspace:
        done = await restore(workspace, version, None)
        assert done.notes == []
    assert picture(target) == picture(place.root)


async def test_a_hole_of_one_chunk_takes_no_room(place: Place, tmp_path: Path) -> None:
    """A hundred thousand of them would fill a disk of which they count for nothing."""
    with (place.root / "hole").open("wb") as file:
        file.truncate(layout.CHUNK_BYTES)
    version = (await place.take()).version
    assert await restored_elsewhere(place, version, tmp_path / "again") == picture(place.root)
    assert (tmp_path / "again" / "hole").stat().st_blocks == 0


class Withheld(DirectoryStore):
    """Gives no part of objects above `most_bytes` before `go` is set."""

    def __init__(self, root: Path, most_bytes: int) -> None:
        super().__init__(root)
        self.go = asyncio.Event()
        self._most_bytes = most_bytes

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        found = await super().get(key, start, length)
        if len(found) > self._most_bytes:
            await self.go.wait()
        return found


async def test_folders_and_what_an_editor_opens_come_before_large_files(tmp_path: Path) -> None:
    """So that there is something to work with while gigabytes are on their way."""
    root, again = tmp_path / "workspace", tmp_path / "again"
    (root / "folder").mkdir(parents=True)
    again.mkdir()
    chance = random.Random(1)
    (root / "a-large").write_bytes(chance.randbytes(9_000_000))
    (root / "folder" / "z.txt").write_text("text")
    (root / "z.txt").write_text("text")
    async with Withheld(tmp_path / "store", 1 << 20) as store:
        history = History(store, "r1")
        with Workspace(root) as workspace, Cache(None) as cache:
            taken = await take(workspace, history, cache, Label(epoch=1, author="ada", message=""))
        with Workspace(again) as workspace:
            restoring = asyncio.create_task(restore(workspace, await history.open(taken.version), None))
            async with asyncio.timeout(30):
                while not (again / "folder" / "z.txt").exists() or not (again / "z.txt").exists():
                    await asyncio.sleep(0.01)
            assert not (again / "a-large").exists()
            assert not restoring.done()
            store.go.set()
            assert (await restoring).notes == []
    assert (again / "a-large").read_bytes() == (root / "a-large").read_bytes()
