"""So many at a time, of one and of all."""

import asyncio
from collections import Counter

from runner.fair_turns import FairTurns


async def test_so_many_of_one_have_their_turn_at_a_time() -> None:
    turns = FairTurns(3, 2)
    inside: Counter[str] = Counter()
    leave = asyncio.Event()

    async def reads(whose: str) -> None:
        async with turns.turn(whose):
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


async def test_who_comes_last_waits_for_one_turn_of_each_of_the_others() -> None:
    turns = FairTurns(1, 1)
    order: list[str] = []

    async def reads(whose: str) -> None:
        async with turns.turn(whose):
            order.append(whose)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        for whose in ("r1",) * 9 + ("r2",) * 9 + ("r3",):
            tasks.create_task(reads(whose))
    assert "r3" in order[:3]
