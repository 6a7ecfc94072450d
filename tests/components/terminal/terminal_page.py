"""A page with a terminal of a real RunnerProxy and a real agent: `python -m ... DIRECTORY AGENT PORT`.

`/?terminal=ID` shows that one; without it a shell is opened. `/?twice=1` shows it in two places, of which
the second one gets one byte a message. `POST /restart` restarts the proxy, `POST /agent` puts another agent in the
place of the one that runs.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from nicegui import app, ui
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from components import theme
from components.controls import text
from components.terminal import Terminal
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.proxy.terminals import wire
from runner.viewer import Viewer

DIRECTORY, AGENT, PORT = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
WORKSPACE = DIRECTORY / "workspace"
CONFIG = ProxyConfig(
    repl_id="r1",
    workspace=WORKSPACE,
    socket_path=DIRECTORY / "agent.sock",
    agent_uid=os.getuid(),
    environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "PS1": "$ "},
    cwd=str(WORKSPACE),
    shell=("/bin/sh", "-i"),
    quota_bytes=1 << 30,
    quota_entries=200_000,
    records=DIRECTORY / "records",
)


class Runner:
    """The proxy and the agent of the moment."""

    def __init__(self) -> None:
        self.proxy = RunnerProxy(CONFIG, on_activity=lambda _: None)
        self.agent: subprocess.Popen[bytes] | None = None

    def start_agent(self) -> None:
        command = ["/usr/bin/python3", "-I", "-S", str(AGENT / "agent.py"), str(CONFIG.socket_path)]
        self.agent = subprocess.Popen(command, start_new_session=True)

    def kill_agent(self) -> None:
        assert self.agent
        self.agent.kill()
        self.agent.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cookies = HTTPConnection(scope).cookies  # who looks, and whether that is all
        name = cookies.get("name", "Ada")
        viewer = Viewer(name.lower(), name, "looks" not in cookies)
        await self.proxy({**scope, "devex.viewer": viewer}, receive, send)


runner = Runner()


async def byte_by_byte(scope: Scope, receive: Receive, send: Send) -> None:
    """The runner, whose terminals send one byte a message."""

    async def send_bytes(message: MutableMapping[str, Any]) -> None:
        frame = message.get("bytes") or b"\0"
        if frame[0] != wire.OUTPUT:
            await send(message)
            return
        offset = wire.offset(frame[1:9])
        for at in range(len(frame) - 9):
            await send({**message, "bytes": wire.output(offset + at, frame[9 + at : 10 + at])})

    await runner(scope, receive, send_bytes)


@ui.page("/")
async def terminal_page(terminal: str = "", width: int = 900, twice: bool = False) -> None:
    theme.use("light")
    told = {name: text("", tag="output").props(f"id={name}") for name in ("title", "terminal", "opened")}
    if not terminal:
        transport = httpx.ASGITransport(app=runner)
        async with httpx.AsyncClient(transport=transport, base_url="http://runner") as client:
            terminal = (await client.post("/terminals", json={})).json()["id"]
    told["terminal"].set_text(terminal)
    with ui.element("main").style(f"height: 400px; width: {width}px; display: flex").props("id=box"):
        shown = Terminal(
            "r1",
            terminal,
            on_title=told["title"].set_text,
            on_open=lambda path, line, column: told["opened"].set_text(f"{path} {line} {column}"),
        )
    if twice:
        with ui.element("main").style(f"height: 400px; width: {width}px; display: flex").props("id=bytes"):
            Terminal("bytes", terminal)
    ui.button("focus", on_click=lambda: shown.run_method("focus"))
    ui.button("search", on_click=lambda: shown.run_method("openSearch"))


@app.post("/restart")
async def restart() -> None:
    await runner.proxy.__aexit__(None, None, None)
    runner.proxy = RunnerProxy(CONFIG, on_activity=lambda _: None)
    await runner.proxy.__aenter__()
    async with asyncio.timeout(20):
        await runner.proxy.ready()


@app.post("/agent")
async def another_agent() -> None:
    runner.kill_agent()
    runner.start_agent()


@asynccontextmanager
async def serving(_: object) -> AsyncIterator[None]:
    async with runner.proxy:
        runner.start_agent()
        try:
            await runner.proxy.ready()
            async with inner(app):
                yield
        finally:
            runner.kill_agent()


theme.serve()
app.mount("/repls/r1", runner)
app.mount("/repls/bytes", byte_by_byte)
inner = app.router.lifespan_context
app.router.lifespan_context = serving
ui.run(host="127.0.0.1", port=PORT, reload=False, show=False, tailwind=False, storage_secret="only for tests")
