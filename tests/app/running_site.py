"""A whole application on a real port, with REPLs in memory, and browsers that are signed in."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from nicegui import app, core
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

from app import data_dir
from app.accounts import SignedIn
from app.gateway.connections import connection_factory
from app.server import Server
from app.settings import Settings
from orchestrator.backends.memory import MemoryBackend
from orchestrator.domain import Repl
from runner.direct import EXTENSION, Direct
from tests.ports import free_port

PASSWORD = "correct horse battery"
numbers = itertools.count(1)


class Echoing(MemoryBackend):
    """Its REPLs also have sockets that echo, a stream without an end, and ports that tell what they were sent."""

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        below = super().runner_app(repl_id)
        routes = [
            WebSocketRoute("/echo", _echo),
            WebSocketRoute("/echo_at_once", _echo_at_once),
            Route("/stream", _stream),
            Route("/asked", _told),
            Route("/unread", _unread, methods=["POST"]),
            WebSocketRoute("/ports/{port:int}/{path:path}", _echo),
            Route("/ports/{port:int}/{path:path}", _told, methods=["GET", "POST"]),
        ]
        return Router(routes, default=below) if below else None


async def _echo_at_once(socket: WebSocket) -> None:
    """But what begins with `later`: that it asks for."""
    await socket.accept()
    direct: Direct = socket.scope["extensions"][EXTENSION]

    def take(message: bytes) -> bool:
        if not direct.is_writable or message.startswith(b"later"):
            return False
        direct.send_now(b"at once: " + message)
        return True

    direct.on_message = take
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            message = await socket.receive_bytes()
            for _ in range(9):  # turns of the loop, in which the next ones come
                await asyncio.sleep(0)
            await socket.send_bytes(b"asked for: " + message)


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while (said := await socket.receive_text()) != "goodbye":
            await socket.send_text(said)
        await socket.close()


async def _stream(request: Request) -> Response:
    async def parts() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    return StreamingResponse(parts())


async def _unread(request: Request) -> Response:
    """Reads the body once the file named in the header is there."""
    while not Path(request.headers["x-wait-for"]).exists():
        await asyncio.sleep(0.01)
    return JSONResponse({"bytes": len(await request.body())})


async def _told(request: Request) -> Response:
    viewer = request.scope["devex.viewer"]
    return JSONResponse(
        {
            "path": request.url.path,
            "raw": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "headers": dict(request.headers),
            "writes": viewer.can_write,
        }
    )


class InOurLoop(uvicorn.Server):
    """Signals are the test runner's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Site:
    """A running application."""

    server: Server
    backend: MemoryBackend
    stack: AsyncExitStack
    users: dict[str, SignedIn] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return self.server.settings.origin

    @property
    def port(self) -> int:
        return self.server.settings.port

    async def user(self, name: str = "ada") -> SignedIn:
        """An account, signed in."""
        if name not in self.users:
            self.users[name] = await self.server.accounts.sign_up(name, PASSWORD)
        return self.users[name]

    async def browser(self, signed_in: SignedIn | None = None, **headers: str) -> httpx.AsyncClient:
        cookies = {"devex_session": signed_in.token} if signed_in else {}
        return await self.stack.enter_async_context(
            httpx.AsyncClient(
                base_url=self.origin, headers={"Origin": self.origin} | headers, cookies=cookies, trust_env=False
            )
        )

    async def script(self, owner: SignedIn) -> httpx.AsyncClient:
        """What bears a new token of theirs, and says nothing of an origin."""
        _, token = await self.server.accounts.sessions.new_token(owner.actor.user_id, "a script")
        headers = {"Authorization": f"Bearer {token}"}
        return await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=self.origin, headers=headers, trust_env=False)
        )

    async def socket(
        self, path: str, *, token: str = "", origin: str | None = "", host: str = "", cookie: str = ""
    ) -> ClientConnection:
        """Raises InvalidStatus for a handshake that is refused. `origin` is ours by default, and none with None."""
        headers = {"Cookie": cookie or f"devex_session={token}"}
        url = f"ws://{host or self.origin.removeprefix('http://')}{path}"
        opening = connect(
            url,
            host="127.0.0.1",
            port=self.port,
            origin=None if origin is None else Origin(origin or self.origin),
            additional_headers=headers,
            proxy=None,
        )
        return await self.stack.enter_async_context(opening)

    async def repl(self, owner: SignedIn, *, start: bool = True) -> Repl:
        orchestrator = self.server.orchestrator
        repl = await orchestrator.create(owner.actor.user_id, f"REPL {next(numbers)}", "python", start=start)
        return await orchestrator.open(repl.id) if start else repl


@asynccontextmanager
async def site_of(tmp_path: Path, backend: MemoryBackend | None = None, **settings: Any) -> AsyncIterator[Site]:
    """Serve with these settings until the block ends."""
    backend = backend or Echoing()
    given = {"_env_file": None, "port": free_port(), "data_dir": tmp_path / "data", "sign_up": "open"} | settings
    settled = Settings(**given)
    data_dir.prepare(settled.data_dir)
    server = Server(settled, backend=backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NICEGUI_USER_SIMULATION", "true")  # NiceGUI then prepares its app and leaves serving to us
        server.run()
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=given["port"],
        http=connection_factory(server.settings),  # type: ignore[arg-type]
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        proxy_headers=False,
    )
    running = InOurLoop(config)
    task = asyncio.create_task(running.serve(), name="uvicorn")
    try:
        while not running.started:
            assert not task.done(), server.failure
            await asyncio.sleep(0.005)
        async with AsyncExitStack() as stack:
            yield Site(server, backend, stack)
    finally:
        running.should_exit = True
        await asyncio.wait_for(task, 20)
        if core.sio.eio.service_task_handle:  # it outlives the application, which comes once in a process
            await core.sio.shutdown()
        pings = [task for task in asyncio.all_tasks() if "_send_ping" in repr(task.get_coro())]
        for ping in pings:  # engineio's end by themselves, at the next interval
            ping.cancel()
        await asyncio.gather(*pings, return_exceptions=True)
