"""One key at a time, duplicates once, later means later."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from orchestrator.workqueue import CONCURRENT_KEYS, WorkQueue
from tests.orchestrator.fakes import ManualClock, settle


class Work:
    """Records what was begun; each piece waits for `gate`."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running: list[str] = []
        self.gate = asyncio.Event()

    async def __call__(self, key: str) -> None:
        assert key not in self.running
        self.begun.append(key)
        self.running.append(key)
        await self.gate.wait()
        self.running.remove(key)


@asynccontextmanager
async def working(work: Work, clock: ManualClock) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(work, clock)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_key_added_while_it_is_worked_on_is_done_once_more(clock: ManualClock) -> None:
    work = Work()
    async with working(work, clock) as queue:
        for _ in range(3):
            queue.add("a")
        await settle()
        assert work.begun == ["a"]
        for _ in range(3):
            queue.add("a")
        await settle()
        assert work.begun == ["a"]
        work.gate.set()
        await settle()
        assert work.begun == ["a", "a"]


async def test_one_that_hangs_holds_up_no_other(clock: ManualClock) -> None:
    work = Work()
    async with working(work, clock) as queue:
        for key in ("a", "b", "c"):
            queue.add(key)
        await settle()
        assert work.running == ["a", "b", "c"]


async def test_no_more_than_so_many_at_once_and_all_in_the_end(clock: ManualClock) -> None:
    work = Work()
    keys = [str(number) for number in range(CONCURRENT_KEYS * 2)]
    async with working(work, clock) as queue:
        for key in keys:
            queue.add(key)
        await settle()
        assert len(work.running) == CONCURRENT_KEYS
        work.gate.set()
        await settle()
        assert work.begun == keys


async def test_later_is_later_and_the_last_word_counts(clock: ManualClock) -> None:
    work = Work()
    work.gate.set()
    async with working(work, clock) as queue:
        queue.add_at("a", clock.now() + timedelta(seconds=10))
        queue.add_at("b", clock.now() + timedelta(seconds=20))
        queue.add_at("a", clock.now() + timedelta(seconds=30))
        queue.add_at("c", clock.now() + timedelta(seconds=5))
        queue.forget("c")
        await clock.advance(19)
        assert work.begun == []
        await clock.advance(1)
        assert work.begun == ["b"]
        await clock.advance(10)
        assert work.begun == ["b", "a"]
