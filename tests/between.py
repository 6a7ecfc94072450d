"""Somebody between a program and its HTTP server, who spoils what he is told to spoil, request by request."""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Self
from urllib.parse import urlsplit

REQUEST_S = 30
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_OTHERS = bytes(byte ^ 1 for byte in range(256))
_CONNECTION = re.compile(rb"\r\n(connection|expect):[^\r]*", re.IGNORECASE)


@dataclass
class Exchange:
    """A request, and ways to the two who speak."""

    head: bytes
    body: bytes
    client: asyncio.StreamReader
    answer: asyncio.StreamWriter
    upstream: tuple[str, int]

    @property
    def line(self) -> str:
        """`PUT /path`, without a query."""
        method, target, _ = self.head.split(b" ", 2)
        return f"{method.decode()} {target.partition(b'?')[0].decode()}"

    async def forward(self) -> tuple[bytes, bytes]:
        """-> the answer's head and body."""
        reader, writer = await asyncio.open_connection(*self.upstream)
        try:
            closing = _CONNECTION.sub(b"", self.head[:-4]) + b"\r\nConnection: close\r\n\r\n"
            writer.write(closing + self.body)
            await writer.drain()
            whole = await reader.read()
        finally:
            writer.close()
        head, _, body = whole.partition(b"\r\n\r\n")
        return _CONNECTION.sub(b"", head) + b"\r\nConnection: close\r\n\r\n", body


Fault = Callable[[Exchange], Awaitable[None]]


async def passes(exchange: Exchange) -> None:
    exchange.answer.write(b"".join(await exchange.forward()))


async def drops(exchange: Exchange) -> None:
    """The request reaches nobody."""


async def loses_the_answer(exchange: Exchange) -> None:
    """The server has done it, and nobody hears of it."""
    await exchange.forward()


async def cuts(exchange: Exchange) -> None:
    """In the middle of the body."""
    head, body = await exchange.forward()
    exchange.answer.write(head + body[: len(body) // 2])


async def hangs(exchange: Exchange) -> None:
    """Until the client gives up."""
    await exchange.client.read()


async def hangs_in_the_body(exchange: Exchange) -> None:
    await cuts(exchange)
    await exchange.client.read()


async def garbles(exchange: Exchange) -> None:
    """Bytes are others than the server's, as many as they were."""
    head, body = await exchange.forward()
    exchange.answer.write(head + body.translate(_OTHERS))


def answers(status: int, code: str, late: timedelta = timedelta(0), body: bytes | None = None) -> Fault:
    """In the server's place, as S3 says it; its clock is `late`."""
    said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    content = said if body is None else body

    async def answer(exchange: Exchange) -> None:
        date = format_datetime(datetime.now(UTC) - late, usegmt=True)
        head = f"HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        exchange.answer.write(head.encode() + (b"" if exchange.line.startswith("HEAD ") else content))

    return answer


@dataclass
class Between:
    """Serves on `url` while entered; `faults` are for the next requests, one each, the rest pass. `seen` are all."""

    server_url: str
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[str] = field(default_factory=list)
    url: str = ""

    async def __aenter__(self) -> Self:
        self._serving = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = "http://{}:{}".format(*self._serving.sockets[0].getsockname())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._serving.close()
        await self._serving.wait_closed()
        for task in list(self._tasks):
            await task

    def __post_init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def will(self, *faults: Fault) -> None:
        self.seen.clear()
        self.faults = deque(faults)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            async with asyncio.timeout(REQUEST_S):
                await self._exchange(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if _CONTINUE.search(head):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length else b""
        parts = urlsplit(self.server_url)
        exchange = Exchange(head, body, reader, writer, (str(parts.hostname), int(parts.port or 80)))
        self.seen.append(exchange.line)
        await (self.faults.popleft() if self.faults else passes)(exchange)
        await writer.drain()
