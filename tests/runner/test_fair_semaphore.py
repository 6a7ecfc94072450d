"""So many at a time, of one and of all."""

import asyncio
from collections import Counter

from runner.fair_semaphore import FairSemaphore


async def test_one_owner_holds_so_many_at_a_time() -> None:
    semaphore = FairSemaphore(3, 2)
    inside: Counter[str] = Counter()
    leave = asyncio.Event()

    async def reads(whose: str) -> None:
        async with semaphore.acquire(whose):
            inside[whose] += 1
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        for whose in ("r1", "r1", "r1", "r1", "r2", "r2"):
            tasks.create_task(reads(whose))
        while sum(inside.values()) < 3:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert inside == {"r1": 2, "r2": 1}
        leave.set()
    assert inside == {"r1": 4, "r2": 2}


async def test_who_comes_last_waits_for_one_of_each_of_the_others() -> None:
    semaphore = FairSemaphore(1, 1)
    order: list[str] = []

    async def reads(whose: str) -> None:
        async with semaphore.acquire(whose):
            order.append(whose)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for whose in ("r1",) * 9 + ("r2",) * 9 + ("r3",):
            tasks.create_task(reads(whose))
    assert "r3" in order[:3]
