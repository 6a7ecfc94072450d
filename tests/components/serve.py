"""A server for the tests of the elements: `python -m tests.components.serve WORKSPACE PORT`.

The REPL behind it is a real RunnerProxy over WORKSPACE, without a sandbox: nothing here runs programs.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nicegui import app, ui
from starlette.types import Receive, Scope, Send

from components import theme
from components.controls import text
from components.file_tree import FileTree
from components.palette import Command, Palette
from components.repl import ReplEvents
from components.split import Split
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.viewer import Viewer

WORKSPACE, PORT = Path(sys.argv[1]), int(sys.argv[2])
CONFIG = ProxyConfig(
    repl_id="r1",
    workspace=WORKSPACE,
    socket_path=WORKSPACE.parent / "agent.sock",
    agent_uid=0,
    environment={},
    quota_bytes=1 << 30,
    quota_entries=200_000,
    records=WORKSPACE.parent / "records",
)
proxy = RunnerProxy(CONFIG, on_activity=lambda _: None)


async def door(scope: Scope, receive: Receive, send: Send) -> None:
    await proxy({**scope, "devex.viewer": Viewer("u1", "ada", can_write=True)}, receive, send)


@ui.page("/")
def elements() -> None:
    theme.use("light")
    heard = text("", tag="output").props("id=heard")

    def hear(*what: object) -> None:
        heard.set_text(" ".join(map(str, what)))

    ReplEvents("r1", on_told=lambda _: None)
    commands = (Command("greet", "Say hello", "Mod+Shift+Y"), Command("leave", "Say goodbye"))
    Palette("r1", commands, on_command=lambda one: hear("command", one), on_open=lambda *at: hear("go", *at))
    with ui.element("main").style("height: 600px; width: 900px"):
        split = Split("test", label="Width of the files", size_px=260)
        with split.fixed:
            FileTree(
                "r1",
                on_open=lambda path: hear("open", path),
                on_failed=lambda *said: hear("failed", *said),
            )
        with split.rest:
            ui.element("textarea").props('aria-label="Somewhere else"')


@asynccontextmanager
async def serving(_: object) -> AsyncIterator[None]:
    async with proxy, inner(app):
        yield


theme.serve()
app.mount("/repls/r1", door)
inner = app.router.lifespan_context
app.router.lifespan_context = serving
ui.run(host="127.0.0.1", port=PORT, reload=False, show=False, tailwind=False, storage_secret="only for tests")
