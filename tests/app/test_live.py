import asyncio

import pytest

from runner.live import Live, SessionEnded


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
    live.end(["a", "unknown"], SessionEnded)
    for task in tasks[:2]:
        with pytest.raises(SessionEnded):
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
    live.end(["a"], SessionEnded)
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
    live.end(["a"], SessionEnded)
    with pytest.raises(ValueError, match="its own"):
        await task
    live.end(["a"], SessionEnded)
    assert live.holders() == set()
