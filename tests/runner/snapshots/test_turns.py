"""So many at a time: of jobs, of who reads, of one REPL and of all."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import DevexError
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.store import StoreError
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.turns import QUEUED
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.shelf import a_shelf


class Gate:
    """A store whose signer thinks for as long as it is shut: whoever has its turn there keeps it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, question: Message) -> Message:
        self.asked.set()
        await self.opened.wait()
        return {"error": {"message": "no", "action": "no", "retryable": False}}


@asynccontextmanager
async def at_work() -> AsyncIterator[tuple[Workers, Gate]]:
    """A worker with a job that has its turn until the gate is opened, and then fails."""
    gate = Gate()
    async with Workers(answer=gate) as workers, asyncio.timeout(60):
        slow: dict[str, Any] = {"store": {"signed": {"ca_file": None}}, "prefix": "r2"}
        other = asyncio.create_task(workers.run("verify", turn_s=60.0, **slow))
        await gate.asked.wait()
        yield workers, gate
        with pytest.raises(StoreError):
            await other


async def verified(workers: Workers, folder: Path, turn_s: float) -> list[str]:
    """-> problems."""
    done = await workers.run("verify", turn_s=turn_s, store=spec_of(folder / "store"), prefix="r1")
    return list(done["problems"])


async def test_the_time_of_a_job_counts_from_its_turn(tmp_path: Path) -> None:
    async with at_work() as (workers, gate):
        waiting = asyncio.create_task(verified(workers, tmp_path, turn_s=2.0))
        await asyncio.wait([waiting], timeout=3)
        assert not waiting.done()
        gate.opened.set()
        assert await waiting == []


async def test_so_many_wait_for_their_turn(tmp_path: Path) -> None:
    async with at_work() as (workers, gate):
        jobs = [asyncio.create_task(verified(workers, tmp_path, turn_s=60.0)) for _ in range(QUEUED + 5)]
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        gate.opened.set()
        await asyncio.wait(jobs)
        refused = [error for job in jobs if (error := job.exception()) is not None]
        assert {error.code for error in refused if isinstance(error, DevexError)} == {"busy"}
        assert len(refused) == 5


async def test_readers_that_stand_still_hold_little_and_are_so_many(snapshots: Snapshots, tmp_path: Path) -> None:
    """Whoever takes one piece and no more, over many connections, must not fill the server's memory."""
    content = random.Random(1).randbytes(20 << 20)
    (tmp_path / "workspace" / "a").write_bytes(content)
    version = (await snapshots.take("ada", ""))["version"]
    async with AsyncExitStack() as stack:
        for _ in range(8):
            pieces = await stack.enter_async_context(aclosing(snapshots.read(version, "a")))
            assert len(await anext(pieces)) <= 256 << 10
        with pytest.raises(DevexError) as refused:
            await anext(snapshots.read(version, "a"))
        assert refused.value.code == "busy"
    async with asyncio.timeout(10):
        found = b""
        while found != content:
            with suppress(DevexError):  # busy: what was left is told to the worker, and ends there
                found = b"".join([piece async for piece in snapshots.read(version, "a")])


async def test_readers_of_all_repls_are_so_many(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a").write_bytes(random.Random(1).randbytes(1 << 20))

    async def a_repl(number: int) -> tuple[Snapshots, str]:
        snapshots = Snapshots(workers, replace(a_shelf(tmp_path, cache=f"{number}.db"), prefix=f"r{number}"))
        return snapshots, (await snapshots.take("ada", ""))["version"]

    async with AsyncExitStack() as stack:
        for number in range(8):
            snapshots, version = await a_repl(number)
            for _ in range(8):
                await anext(await stack.enter_async_context(aclosing(snapshots.read(version, "a"))))
        snapshots, version = await a_repl(8)
        with pytest.raises(DevexError) as refused:
            await anext(snapshots.read(version, "a"))
        assert (refused.value.code, refused.value.retryable) == ("busy", True)


async def test_who_lists_much_at_once_holds_nobody_up(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    for number in range(10_000):
        (tmp_path / "workspace" / f"{number:05}").touch()
    many = Snapshots(workers, a_shelf(tmp_path))
    version = (await many.take("ada", ""))["version"]
    other = Snapshots(workers, replace(a_shelf(tmp_path, "other", "other.db"), prefix="r2"))
    (tmp_path / "other" / "a").write_text("one")
    listings = [asyncio.create_task(many.folder(version, "")) for _ in range(60)]
    await asyncio.wait(listings, return_when=asyncio.FIRST_COMPLETED)
    assert (await other.take("bob", ""))["files"] == 1
    assert len((await other.folder("1-1", ""))["entries"]) == 1
    assert not all(one.done() for one in listings)
    assert {len(listed["entries"]) for listed in await asyncio.gather(*listings)} == {10_000}
