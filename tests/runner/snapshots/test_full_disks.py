"""Disks that are full: where versions go, where a workspace is brought back, where the cache is, and all in one.

Nothing that was acknowledged is lost, a sentence says which disk it is, and with room again the next try succeeds.
"""

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.store import StoreError
from runner.snapshots.worker import frames
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.workers import Workers
from runner.workspace import Usage
from tests.disks import Disk, small_disk
from tests.runner.snapshots.jobs import ROOT, Picture, picture

DISK_MIB = 64


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", DISK_MIB) as disk:
        yield disk


def a_place(workers: Workers, store: Path, workspace: Path, cache: Path) -> Snapshots:
    workspace.mkdir(exist_ok=True)
    return Snapshots(workers, Shelf(
        store=spec_of(store), prefix="r1", workspace=workspace, owner=None, limit=Usage(1 << 40, 1 << 20),
        cache=cache, epoch=1,
    ))  # fmt: skip


async def brought_back(workers: Workers, store: Path, version: str, folder: Path) -> Picture:
    """What a version holds."""
    elsewhere = a_place(workers, store, folder / f"of-{version}", folder / "no.db")
    await elsewhere.restore(version, "", "ada", empty=True)
    return picture(folder / f"of-{version}")


def change(root: Path, seed: int, files: int = 12, most_bytes: int = 600_000) -> None:
    """Beside small files, one that lies in several chunks."""
    chance = random.Random(seed)
    for number in range(files):
        (root / f"d{number % 3}").mkdir(exist_ok=True)
        (root / f"d{number % 3}" / f"f{number}").write_bytes(chance.randbytes(chance.randrange(most_bytes)))
    (root / "large").write_bytes(chance.randbytes(9_000_000))


async def has_no_room(snapshots: Snapshots) -> None:
    with pytest.raises(StoreError) as told:
        await snapshots.take("ada", "")
    assert told.value.retryable
    assert (told.value.message, told.value.action) == (
        "The disk that holds the versions is full.",
        "Ask the operator to make room on it.",
    )


@pytest.mark.parametrize("room_kib", [0, 100, 5_000, 10_000])
async def test_no_room_for_what_changed(workers: Workers, disk: Disk, tmp_path: Path, room_kib: int) -> None:
    store, root = disk.path / "store", tmp_path / "workspace"
    snapshots = a_place(workers, store, root, tmp_path / "cache.db")
    change(root, 1)
    before = picture(root)
    first = (await snapshots.take("ada", ""))["version"]
    change(root, 2)
    disk.fill(room_kib)
    for _ in range(2):
        await has_no_room(snapshots)
    assert (await snapshots.head() or {})["version"] == first
    assert (await snapshots.verify())["problems"] == []
    assert await brought_back(workers, store, first, tmp_path) == before
    assert list((store / ".drafts").iterdir()) == []
    disk.free()
    taken = (await snapshots.take("ada", ""))["version"]
    assert (await snapshots.verify())["problems"] == []
    assert await brought_back(workers, store, taken, tmp_path) == picture(root)


async def test_no_room_for_any_of_the_objects_of_a_version(workers: Workers, disk: Disk, tmp_path: Path) -> None:
    """Packs, index, or just the commit: one page after the other is free."""
    store, root = disk.path / "store", tmp_path / "workspace"
    snapshots = a_place(workers, store, root, tmp_path / "cache.db")
    (root / "a").write_text("one")
    taken = (await snapshots.take("ada", ""))["version"]
    refused = 0
    for room_kib in range(0, 64, 4):
        (root / "a").write_text(f"with room of {room_kib} KiB")
        disk.fill(room_kib)
        try:
            taken = (await snapshots.take("ada", ""))["version"]
        except StoreError:
            refused += 1
            assert (await snapshots.head() or {})["version"] == taken
        assert (await snapshots.verify())["problems"] == []
    assert 4 <= refused < 16
    disk.free()
    taken = (await snapshots.take("ada", ""))["version"]
    assert await brought_back(workers, store, taken, tmp_path) == picture(root)


@pytest.mark.parametrize("room_kib", [0, 2_000, 8_000])
async def test_no_room_to_restore_to(workers: Workers, disk: Disk, tmp_path: Path, room_kib: int) -> None:
    store, root = tmp_path / "store", disk.path / "workspace"
    snapshots = a_place(workers, store, root, tmp_path / "cache.db")
    change(root, 1)
    wanted = picture(root)
    version = (await snapshots.take("ada", ""))["version"]
    change(root, 2, most_bytes=5_000)
    (root / "large").unlink()
    (root / "new").write_text("in no version yet")
    before = picture(root)
    disk.fill(room_kib)
    with pytest.raises(DevexError, match=r"^The disk is full: “.*” was not written\.$") as told:
        await snapshots.restore(version, "", "ada")
    assert (told.value.code, told.value.status) == ("disk_full", 507)
    for path, found in picture(root).items():
        assert found in (wanted.get(path), before.get(path)), path
    held = (await snapshots.head() or {})["version"]
    assert await brought_back(workers, store, held, tmp_path) == before
    disk.free()
    assert (await snapshots.restore(version, "", "ada"))["notes"] == []
    assert picture(root) == wanted
    assert (await snapshots.restore(held, "", "ada"))["notes"] == []
    assert picture(root) == before


async def test_no_room_to_begin_with_what_the_store_holds(workers: Workers, disk: Disk, tmp_path: Path) -> None:
    """As a pod with an empty workspace does: it goes on where it had to stop."""
    store, root = tmp_path / "store", tmp_path / "workspace"
    snapshots = a_place(workers, store, root, tmp_path / "cache.db")
    change(root, 1)
    version = (await snapshots.take("ada", ""))["version"]
    elsewhere = a_place(workers, store, disk.path / "workspace", tmp_path / "other.db")
    for room_kib in (0, 1_000, 8_000):
        disk.fill(room_kib)
        with pytest.raises(DevexError, match="The disk is full"):
            await elsewhere.restore(version, "", "", empty=True)
    disk.free()
    assert (await elsewhere.restore(version, "", "", empty=True))["notes"] == []
    assert picture(disk.path / "workspace") == picture(root)


async def does(disk: Disk, do: str, **job: object) -> Message:
    """A job of a worker that sees the disk where it is mounted -> its answer."""
    command = (*disk.within, sys.executable, "-m", "runner.snapshots.worker")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    base = {"prefix": "r1", "epoch": 1, "author": "ada", "message": ""}
    process.stdin.write(frames.encode({**base, **job, "id": 1, "do": do}))
    while (got := await frames.read(process.stdout)) is not None and not got[0].keys() & {"result", "error"}:
        pass
    process.stdin.close()
    await process.wait()
    assert got is not None
    return got[0]


@pytest.mark.parametrize("room_kib", [0, 12, 40, 250])
async def test_no_room_for_the_cache(workers: Workers, disk: Disk, tmp_path: Path, room_kib: int) -> None:
    """It is slower without, and that is all."""
    store, root, cache = tmp_path / "store", tmp_path / "workspace", disk.folder / "cache.db"
    root.mkdir()
    job = {"store": spec_of(store), "workspace": str(root), "cache": str(cache)}
    disk.fill(room_kib)
    for number in range(3):
        change(root, number, files=500, most_bytes=100)
        taken = (await does(disk, "take", **job))["result"]["version"]
        assert await brought_back(workers, store, taken, tmp_path) == picture(root)
    assert (await does(disk, "collect", **job))["result"]["versions"] == 0
    assert (await does(disk, "verify", **job))["result"]["problems"] == []


async def test_one_full_disk_under_all_of_it(workers: Workers, disk: Disk, tmp_path: Path) -> None:
    store, root = disk.path / "store", disk.path / "workspace"
    root.mkdir()
    at = disk.folder
    job = {"store": spec_of(at / "store"), "workspace": str(at / "workspace"), "cache": str(at / "cache.db")}
    change(root, 1)
    before = picture(root)
    first = (await does(disk, "take", **job))["result"]["version"]
    change(root, 2)
    disk.fill()
    for message in (
        (await does(disk, "take", **job))["error"]["message"],
        (await does(disk, "restore", **job, version=first))["error"]["message"],
    ):
        assert message == "The disk that holds the versions is full."
    disk.free()
    taken = (await does(disk, "take", **job))["result"]["version"]
    assert (await does(disk, "verify", **job))["result"]["problems"] == []
    assert await brought_back(workers, store, first, tmp_path) == before
    assert await brought_back(workers, store, taken, tmp_path) == picture(root)
