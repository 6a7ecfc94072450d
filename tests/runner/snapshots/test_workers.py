"""The life of the worker process: it starts, rests, hangs, is killed; and what it says never ends it."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.process import WorkerDied
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.shelf import a_shelf, fill


async def test_it_works_wherever_the_server_was_called_from(
    snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zstandard.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert (await snapshots.take("ada", ""))["version"] == "1-1"


async def test_a_slow_reader_holds_nobody_up(snapshots: Snapshots, tmp_path: Path) -> None:
    large = os.urandom(30 << 20)
    (tmp_path / "workspace" / "large").write_bytes(large)
    await snapshots.take("ada", "")
    reading = snapshots.read("1-1", "large")
    pieces = [await anext(reading)]
    for number in range(3):
        (tmp_path / "workspace" / "small").write_text(str(number))
        await snapshots.take("ada", "")
    pieces += [piece async for piece in reading]
    assert b"".join(pieces) == large


async def test_a_worker_with_nothing_to_do_ends_and_the_next_job_starts_another(tmp_path: Path) -> None:
    async with Workers(idle_s=0.0) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        assert await snapshots.head() is None
        while workers.pid is not None:
            await asyncio.sleep(0.01)
        assert await snapshots.head() is None


async def test_a_killed_worker_fails_its_jobs_and_nothing_else(
    workers: Workers, snapshots: Snapshots, tmp_path: Path
) -> None:
    fill(tmp_path / "workspace", 1, 200)
    told = asyncio.Event()
    taking = asyncio.create_task(snapshots.take("ada", "", lambda _: told.set()))
    await told.wait()
    assert workers.pid is not None
    os.kill(workers.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await taking
    assert (await snapshots.take("ada", ""))["files"] == 200


async def test_a_worker_that_hangs_is_killed_and_others_lose_nothing(tmp_path: Path) -> None:
    """A process in a system call that never returns hears of no cancellation, and would be everybody's last one."""
    async with Workers(cancel_s=0.2) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        (tmp_path / "workspace" / "a").write_text("one")
        await snapshots.take("ada", "")
        hanging = workers.pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        given_up = asyncio.create_task(snapshots.head())
        waiting = asyncio.create_task(snapshots.verify())
        await asyncio.sleep(0)  # both have begun
        given_up.cancel()
        assert (await waiting)["problems"] == []
        assert workers.pid != hanging
        assert await snapshots.head() is not None


async def test_jobs_that_end_when_they_are_given_up_end_nobodys_worker(tmp_path: Path) -> None:
    async with Workers(cancel_s=3) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        fill(tmp_path / "workspace", 1, 200)
        for _ in range(5):
            told = asyncio.Event()
            jobs = [asyncio.create_task(snapshots.take("ada", "", lambda _, told=told: told.set()))]  # type: ignore[misc]
            jobs.append(asyncio.create_task(snapshots.verify()))
            await told.wait()
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)
        pid = workers.pid
        with suppress(TimeoutError):
            async with asyncio.timeout(4):
                while workers.pid == pid:
                    await asyncio.sleep(0.05)
        assert workers.pid == pid
        assert (await snapshots.take("ada", ""))["files"] == 200


async def test_a_worker_that_hangs_when_it_is_to_end_is_killed(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        async with Workers() as workers:
            assert await Snapshots(workers, a_shelf(tmp_path)).head() is None
            pid = workers.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_names_too_long_to_be_told_end_nobodys_worker(
    workers: Workers, snapshots: Snapshots, tmp_path: Path
) -> None:
    """A process that wrote more than the server reads is ended, and with it what it does for everybody."""
    name = b"\xff" * 240
    deep = os.path.join(os.fsencode(tmp_path / "workspace"), *[name] * 15)
    os.makedirs(deep)
    folder = os.open(deep, os.O_RDONLY)
    for number in range(9000):
        os.close(os.open(b"%04d" % number + name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    version = (await snapshots.take("ada", ""))["version"]
    pid = workers.pid
    assert (await snapshots.changes(version, None))["more"]
    listed = await snapshots.folder(version, "/".join([os.fsdecode(name)] * 15))
    assert (len(listed["entries"]), listed["complete"]) == ((2 << 20) // 244, False)
    assert workers.pid == pid
