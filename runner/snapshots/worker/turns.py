"""The line of heavy jobs: whoever has no turn yet waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from runner.errors import DevexError
from runner.snapshots.worker.reply import Reply

QUEUED: Final = 256  # jobs that wait for their turn: more REPLs than one machine runs; who is refused tries again


def busy(message: str) -> DevexError:
    return DevexError("busy", message, "Try again in a minute.", status=503, retryable=True)


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
