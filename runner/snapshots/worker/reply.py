"""What a job tells before its result."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from runner.errors import DevexError
from runner.snapshots.worker.frames import Message

STILL_S: Final = 60.0  # who asks for no further piece for so long has left
PIECES: Final = 2  # of a file, sent before they are asked for: the server holds them for a slow reader
PIECE_BYTES: Final = 256 << 10

Send = Callable[[Message, bytes], Awaitable[None]]
Tell = Callable[[dict[str, Any]], None]


class Reply:
    """To the job of this number."""

    def __init__(self, number: int, send: Send) -> None:
        self._number = number
        self._send = send
        self._wanted = asyncio.Semaphore(PIECES)

    async def begins(self) -> None:
        """Its turn has come."""
        await self._send({"id": self._number, "turn": True}, b"")

    def another_piece(self) -> None:
        """Somebody asks for one more."""
        self._wanted.release()

    async def pieces(self, made: AsyncGenerator[bytes, None]) -> None:
        """At the pace of who asks for them."""
        try:
            async with contextlib.aclosing(made) as pieces:
                async for made_piece in pieces:
                    for at in range(0, len(made_piece), PIECE_BYTES):
                        async with asyncio.timeout(STILL_S):
                            await self._wanted.acquire()
                        await self._send({"id": self._number, "piece": True}, made_piece[at : at + PIECE_BYTES])
        except TimeoutError:
            message = "The download stood still for too long."
            raise DevexError("too_slow", message, "Start it again.", status=408, retryable=True) from None

    @asynccontextmanager
    async def progress(self) -> AsyncIterator[Tell]:
        """What is told from any thread is sent from the loop; the last of what came too fast counts."""
        loop = asyncio.get_running_loop()
        seen: list[dict[str, Any]] = []
        told = asyncio.Event()

        def tell(what: dict[str, Any]) -> None:
            seen[:] = [what]
            loop.call_soon_threadsafe(told.set)

        async def send() -> None:
            while True:
                await told.wait()
                told.clear()
                await self._send({"id": self._number, "progress": seen[0]}, b"")

        sending = asyncio.create_task(send(), name="progress")
        try:
            yield tell
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
