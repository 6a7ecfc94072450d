"""A script at `WS exec`."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.runner.proxy.stage import DEADLINE_S, Stage

INPUT, RESIZE, ACK, SIGNAL, EOF = 1, 2, 3, 4, 12
OUTPUT, EXITED, READY, CREDIT, ERRORS, REFUSED = 17, 19, 22, 28, 29, 30


class Script:
    """`output` and `errors` are what it was sent. Acknowledges at once, unless `acknowledges` is false."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.output = bytearray()
        self.errors = bytearray()
        self.credit = 0
        self.sent = 0
        self.acknowledges = True
        self.ready: dict[str, Any] | None = None
        self.exit: dict[str, Any] | None = None
        self.refused: dict[str, Any] | None = None

    async def step(self) -> int:
        frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        kind, body = frame[0], frame[1:]
        match kind:
            case 17 | 29:
                (self.output if kind == OUTPUT else self.errors).extend(body)
                if self.acknowledges:
                    await self.acknowledge()
            case 19:
                self.exit = json.loads(body)
            case 22:
                self.ready = json.loads(body)
            case 28:
                (credit,) = struct.unpack(">Q", body)
                assert credit > self.credit
                self.credit = credit
            case 30:
                self.refused = json.loads(body)["error"]
            case _:
                raise AssertionError(f"unknown kind {kind}")
        return kind

    async def acknowledge(self) -> None:
        await self.socket.send(struct.pack(">BQ", ACK, len(self.output) + len(self.errors)))

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while text not in self.output:
                await self.step()

    async def credited(self) -> None:
        """Until more input may be sent than before."""
        before = self.credit
        async with asyncio.timeout(DEADLINE_S):
            while self.credit == before:
                await self.step()

    async def ended(self) -> dict[str, Any]:
        """Its end, when all of it has come and the server has closed the socket."""
        assert await self.until_closed() == 1000
        assert self.exit
        return self.exit

    async def until_closed(self) -> int:
        """-> the code"""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await self.step()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006

    async def type(self, data: bytes) -> None:
        """As much as is credited, and the rest when it is."""
        async with asyncio.timeout(DEADLINE_S):
            while data:
                while self.credit <= self.sent:
                    await self.step()
                piece, data = data[: self.credit - self.sent][:60_000], data[min(self.credit - self.sent, 60_000) :]
                await self.socket.send(bytes([INPUT]) + piece)
                self.sent += len(piece)

    async def end_input(self) -> None:
        await self.socket.send(bytes([EOF]))

    async def signal(self, number: int) -> None:
        await self.socket.send(bytes([SIGNAL, number]))

    async def resize(self, cols: int, rows: int) -> None:
        await self.socket.send(struct.pack(">BHH", RESIZE, cols, rows))


@asynccontextmanager
async def script(stage: Stage, *, role: str = "writer", **wanted: Any) -> AsyncIterator[Script]:
    url = f"{stage.url.replace('http', 'ws')}/exec"
    headers = {"X-Test-Role": role}
    async with connect(url, additional_headers=headers, compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps(wanted))
        yield Script(socket)
