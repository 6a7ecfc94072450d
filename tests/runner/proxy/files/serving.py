"""The file routes alone behind a real server, and what its answers mean."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.proxy.files.routes import FileLimits
from runner.viewer import Viewer
from runner.workspace import Usage

MIB = 1 << 20


LIMITS = FileLimits(file_bytes=120 * MIB, zip_bytes=200 * MIB)


QUOTA = Usage(400 * MIB, 2_000)


class Seen:
    """Stands where the gateway does: says who is asking."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.viewer: Viewer | None = Viewer("u", "Ann", can_write=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.viewer is not None:
            scope["devex.viewer"] = self.viewer
        await self.app(scope, receive, send)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        task = asyncio.create_task(server.serve([listener]), name="server")
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def code(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "action", "id"}
    assert error["message"]
    assert error["action"]
    return str(error["code"])


async def raw(port: int, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request exactly as written; clients tidy up what attackers do not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    status, _, content = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), content


async def noise(size: int) -> AsyncIterator[bytes]:
    piece = os.urandom(1 << 16)
    for _ in range(size >> 16):
        yield piece
