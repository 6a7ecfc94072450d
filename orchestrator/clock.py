"""Time as an argument: what waits asks a Clock, so that tests need not."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC; never goes backwards."""

    async def sleep_until(self, at: datetime) -> None: ...


class SystemClock:
    """The time when it was made, carried on by the monotonic clock: a step of the wall clock fires no deadline."""

    def __init__(self) -> None:
        self._started_at = datetime.now(UTC)
        self._started_s = time.monotonic()

    def now(self) -> datetime:
        return self._started_at + timedelta(seconds=time.monotonic() - self._started_s)

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep((at - self.now()).total_seconds())


def after(clock: Clock, seconds: float) -> datetime:
    """So much later than now."""
    return clock.now() + timedelta(seconds=seconds)


async def within(clock: Clock, at: datetime, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled at the deadline. Raises TimeoutError."""
    task = asyncio.ensure_future(work)
    alarm = asyncio.ensure_future(clock.sleep_until(at))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise TimeoutError
    finally:
        task.cancel()
        alarm.cancel()
        await asyncio.gather(task, alarm, return_exceptions=True)
