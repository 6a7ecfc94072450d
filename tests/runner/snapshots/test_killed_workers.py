"""The worker killed with -9 in the middle of its work: what was acknowledged is whole, the rest is no harm."""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Coroutine
from pathlib import Path

import pytest

from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.process import WorkerDied
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.jobs import picture
from tests.runner.snapshots.shelf import a_shelf, fill

KILLS = 8
VERIFIED_AFTER = 20  # kills: it reads all versions, so that each time it would take longer


async def kill_and_check(workers: Workers, tmp_path: Path, kills: int, seed: int) -> None:
    """Whatever is cut off: the newest version is whole, nothing is lost, nothing is left after a collection."""
    chance = random.Random(seed)
    snapshots = Snapshots(workers, a_shelf(tmp_path))
    root = tmp_path / "workspace"
    for number in range(kills):
        fill(root, seed + number, 150)
        await snapshots.head()  # it runs
        match number % 3:
            case 0:
                job: Coroutine[object, object, object] = snapshots.take("ada", "")
            case 1:
                job = snapshots.collect()
            case _:
                await snapshots.take("ada", "")
                job = _restored(workers, snapshots, tmp_path, number)
        await killed_at_random(workers, asyncio.create_task(job), chance)
        taken = await snapshots.take("ada", "")
        assert (await snapshots.head() or {})["version"] == taken["version"]
        await _restored(workers, snapshots, tmp_path, number)  # which reads each of its hashes
        assert picture(tmp_path / f"again{number}") == picture(root)
        shutil.rmtree(tmp_path / f"again{number}")
        if number % VERIFIED_AFTER == 0 or number == kills - 1:
            assert (await snapshots.verify())["problems"] == []


async def killed_at_random(workers: Workers, job: asyncio.Task[object], chance: random.Random) -> None:
    """Kill the worker at some moment of a job, or let it come first."""
    await asyncio.wait([job], timeout=chance.random() * 0.5)
    if workers.pid is not None and not job.done():
        os.kill(workers.pid, signal.SIGKILL)
    await asyncio.wait([job])
    if error := job.exception():
        assert isinstance(error, WorkerDied)


async def _restored(workers: Workers, snapshots: Snapshots, tmp_path: Path, number: int) -> object:
    head = await snapshots.head()
    if head is None:
        return None
    elsewhere = Snapshots(workers, a_shelf(tmp_path, f"again{number}", "other.db"))
    return await elsewhere.restore(head["version"], "", "ada", empty=True)


async def test_kill_9_anywhere(workers: Workers, tmp_path: Path) -> None:
    async with asyncio.timeout(100):
        await kill_and_check(workers, tmp_path, KILLS, 1)


@pytest.mark.soak
async def test_kill_9_anywhere_two_hundred_times(workers: Workers, tmp_path: Path) -> None:
    await kill_and_check(workers, tmp_path, 200, 2)
