"""A whole application on a real port, with REPLs in memory, and browsers that are signed in."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from nicegui import app, core

from app.accounts import SignedIn
from app.server import Server
from app.settings import Settings
from orchestrator.backends.memory import MemoryBackend
from orchestrator.domain import Repl

PASSWORD = "correct horse battery"
numbers = itertools.count(1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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

    async def repl(self, owner: SignedIn, *, start: bool = True) -> Repl:
        orchestrator = self.server.orchestrator
        repl = await orchestrator.create(owner.actor.user_id, f"REPL {next(numbers)}", "python", start=start)
        return await orchestrator.open(repl.id) if start else repl


@asynccontextmanager
async def site_of(tmp_path: Path, backend: MemoryBackend | None = None, **settings: Any) -> AsyncIterator[Site]:
    """Serve with these settings until the block ends."""
    backend = backend or MemoryBackend()
    given = {"port": free_port(), "data_dir": tmp_path / "data", "sign_up": "open"} | settings
    server = Server(Settings(_env_file=None, **given), backend=backend)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NICEGUI_USER_SIMULATION", "true")  # NiceGUI then prepares its app and leaves serving to us
        server.run()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=given["port"], ws="wsproto", lifespan="on", log_config=None, proxy_headers=False
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
        await core.sio.shutdown()

