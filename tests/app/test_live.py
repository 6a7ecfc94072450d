import asyncio

import pytest

from app.access import SignInNeeded
from runner.live import Live


async def test_ending_a_session_ends_what_it_holds() -> None:
    live = Live[str]()
    entered = asyncio.Semaphore(0)

    async def hold(session_id: str) -> None:
        async with live.hold(session_id):
            entered.release()
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hold(session_id)) for session_id in ("a", "a", "b")]
    for _ in tasks:
        await entered.acquire()
    live.end(["a", "unknown"], SignInNeeded)
    for task in tasks[:2]:
        with pytest.raises(SignInNeeded):
            await task
    assert live.holders() == {"b"}
    tasks[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[2]
    assert live.holders() == set()


async def test_somebody_elses_cancellation_goes_on() -> None:
    live = Live[str]()
    entered = asyncio.Event()

    async def hold() -> None:
        async with live.hold("a"):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await entered.wait()
    live.end(["a"], SignInNeeded)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_failure_while_ending_is_told_as_it_is() -> None:
    live = Live[str]()
    entered = asyncio.Event()

    async def hold() -> None:
        async with live.hold("a"):
            try:
                entered.set()
                await asyncio.Event().wait()
            finally:
                raise ValueError("its own")

    task = asyncio.create_task(hold())
    await entered.wait()
    live.end(["a"], SignInNeeded)
    with pytest.raises(ValueError, match="its own"):
        await task
    live.end(["a"], SignInNeeded)
    assert live.holders() == set()
