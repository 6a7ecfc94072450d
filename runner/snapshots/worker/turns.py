"""How many jobs are done at a time: whoever has no turn yet waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from runner.errors import DevexError
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.reply import Reply

QUEUED: Final = 256  # jobs that wait for their turn: more REPLs than one machine runs; who is refused tries again


def busy(message: str) -> DevexError:
    return DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)


class Turns:
    """`most` at a time, `of_one` REPL so many: who asks for a hundred things at once waits for them, others do not."""

    def __init__(self, most: int, of_one: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._of_one = of_one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, job: Message) -> AsyncIterator[None]:
        own = self._own.setdefault(job["prefix"], asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield


class Queue:
    """Of heavy jobs, all REPLs': one at a time, since the memory is for one."""

    def __init__(self) -> None:
        self._busy = asyncio.Lock()
        self._queued = 0

    @asynccontextmanager
    async def turn(self, reply: Reply) -> AsyncIterator[None]:
        """Who asked counts the time from here."""
        if self._queued == QUEUED:
            raise busy(f"{QUEUED} others are waiting already for their versions to be saved.")
        self._queued += 1
        try:
            await self._busy.acquire()
        finally:
            self._queued -= 1
        try:
            await reply.begins()
            yield
        finally:
            self._busy.release()
