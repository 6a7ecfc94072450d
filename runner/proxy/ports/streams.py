"""Byte streams to ports inside the sandbox, one connection of the agent each."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple

from runner.errors import DevexError
from runner.protocol.messages import Connect, Stream
from runner.proxy.budget import Budget
from runner.proxy.link import AgentLink

MAX_STREAMS: Final = 64  # of one sandbox
CONNECT_S: Final = 5.0
PIECES_A_TURN: Final = 32  # before anybody else has a turn: about a millisecond
PIECE_FRAMES: Final = 4  # a chunk, a WebSocket's frame or a read costs as much time as so many frames of the agent's
BUFFER_BYTES: Final = 128 * 1024  # read ahead of a slow browser; asyncio holds up to twice this


class Held:
    """What is kept of messages that programs have begun, of all streams of one sandbox."""

    def __init__(self) -> None:
        self.size_bytes = 0


class Pair(NamedTuple):
    """A connection; `turn` is to be awaited before each piece of what its program sends is handled, and what is kept
    of it is counted in `held`.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    turn: Callable[[], Awaitable[None]]
    held: Held


class PortClosed(DevexError):
    """Nobody listens (any more)."""

    def __init__(self, port: int) -> None:
        message = f"Nothing in this REPL answers on port {port}."
        super().__init__("port_closed", message, "Press Run to start the program.", status=502, retryable=True)


class _Reader(asyncio.StreamReader):
    """A program that stops reading may have answered before: what has come is read first, and then the stream ends."""

    def set_exception(self, exc: BaseException) -> None:
        self.feed_eof()


class Streams:
    """Ids are random, used once, and expected for CONNECT_S only."""

    def __init__(self) -> None:
        self._expected: dict[int, asyncio.Future[Pair | None]] = {}
        self._open = 0
        self._pieces = 0
        self._held = Held()
        self._budget = Budget(time.monotonic())

    @asynccontextmanager
    async def open(self, link: AgentLink, port: int) -> AsyncIterator[Pair]:
        """A connection to `port` on the sandbox's loopback. PortClosed, DevexError."""
        if self._open >= MAX_STREAMS:
            raise DevexError(
                "too_many_connections",
                f"This REPL already serves {MAX_STREAMS} connections.",
                "Close some of its pages.",
                status=503,
                retryable=True,
            )
        self._open += 1
        try:
            pair = await self._dial(link, port)
            try:
                yield pair
            finally:
                pair.writer.transport.abort()
        finally:
            self._open -= 1

    async def _turn(self) -> None:
        """Programs make pieces as small as they like, 64 KiB hold thousands. All streams share one budget."""
        self._pieces += 1
        if self._pieces % PIECES_A_TURN == 0:
            wait_s = self._budget.spend(PIECES_A_TURN * PIECE_FRAMES, 0, 0, time.monotonic())
            await asyncio.sleep(wait_s)

    async def _dial(self, link: AgentLink, port: int) -> Pair:
        stream = secrets.randbits(64)
        arrival = self._expected[stream] = asyncio.get_running_loop().create_future()
        link.send(Connect(stream, port))
        pair: Pair | None = None
        try:
            async with asyncio.timeout(CONNECT_S):
                pair = await arrival
        except TimeoutError:
            pass  # said below, as is an agent that could not connect
        finally:
            del self._expected[stream]
            if pair is None and arrival.done() and not arrival.cancelled() and (late := arrival.result()):
                late.writer.transport.abort()  # it came in the very moment in which nobody waited any more
        if pair is None:
            raise PortClosed(port)
        return pair

    def arrived(self, message: Stream, transport: asyncio.Transport, rest: bytes) -> bool:
        """Whether the connection was expected; if so it is taken."""
        arrival = self._expected.get(message.stream)
        if arrival is None or arrival.done():
            return False
        if not message.ok:
            arrival.set_result(None)
            return False
        loop = asyncio.get_running_loop()
        reader = _Reader(limit=BUFFER_BYTES, loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if rest:
            reader.feed_data(rest)
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        arrival.set_result(Pair(reader, writer, self._turn, self._held))
        return True
