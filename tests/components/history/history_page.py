"""A page with the history, the receipt and a file tree over a REPL that saves versions, without a sandbox.
Run as `history_page.py FOLDER PORT`; it serves FOLDER/workspace and keeps the versions in FOLDER/store.
"""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nicegui import app, ui
from starlette.types import Receive, Scope, Send

from components import theme
from components.controls import text
from components.editor import Editor
from components.file_tree import FileTree
from components.history import History, Receipt, Restoring
from components.palette import Command, Palette
from components.repl import ReplEvents
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.proxy.viewer import Viewer
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.worker.workers import Workers
from runner.workspace import Usage

REPL_ID = "one"
COMMANDS = (
    Command("history", "History"),
    Command("save-version", "Save a version now"),
    Command("else", "Something else"),
)


def serve(folder: Path, port: int) -> None:
    workspace = folder / "workspace"
    config = ProxyConfig(
        repl_id=REPL_ID,
        workspace=workspace,
        socket_path=folder / "agent.sock",
        agent_uid=0,
        environment={},
        quota_bytes=1 << 30,
        quota_entries=10_000,
        restored=folder / "restored",
    )
    proxies: list[RunnerProxy] = []
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def serving(_: object) -> AsyncIterator[None]:
        shelf = Shelf(
            store=spec_of(folder / "store"), prefix=REPL_ID, workspace=workspace, owner=None,
            limit=Usage(1 << 30, 10_000), cache=folder / "cache.db", epoch=1,
        )  # fmt: skip
        async with Workers() as workers:
            snapshots = Snapshots(workers, shelf)

            async def come_up() -> None:
                proxy = RunnerProxy(config, on_activity=lambda _: None, snapshots=snapshots)
                proxies.append(await proxy.__aenter__())

            @app.post("/lose")
            async def lose() -> None:
                await proxies[-1].__aexit__()  # which takes no version
                shutil.rmtree(workspace)
                workspace.mkdir()
                (folder / "restored").unlink()
                await come_up()

            await come_up()
            async with inner(app):
                yield
            await proxies[-1].__aexit__()

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        await proxies[-1]({**scope, "devex.viewer": Viewer("u1", "ada", can_write=True)}, receive, send)

    @ui.page("/")
    def page(writable: bool = True, editor: bool = False) -> None:
        theme.use("light")
        heard = text("", tag="output").props("id=heard")

        def hear(*what: str) -> None:
            heard.set_text(" ".join(what))

        ReplEvents(REPL_ID, on_told=lambda _: None)
        Palette(REPL_ID, COMMANDS, on_command=hear, on_open=lambda *_: None)
        Restoring()
        if editor:
            with ui.element("div").style("height: 30vh; display: flex"):
                Editor(REPL_ID, first_file="a.txt")
        with ui.element("main").classes("dx-wb-main").style("height: 85vh"):
            with ui.element("div").style("height: 100%"):
                FileTree(REPL_ID, on_open=lambda _: None, on_failed=lambda *_: None)
            history = History(
                REPL_ID,
                on_told=lambda said: hear("told", said),
                on_failed=lambda *said: hear("failed", *said),
            )
            history.set_writable(writable=writable, why_not="Look, but do not touch.")
        with ui.element("footer").classes("dx-status"):
            Receipt()

    app.router.lifespan_context = serving
    app.mount(f"/repls/{REPL_ID}", door)
    theme.serve()
    ui.run(
        host="127.0.0.1",
        port=port,
        reload=False,
        show=False,
        show_welcome_message=False,
        tailwind=False,
        storage_secret="only for tests",
    )


if __name__ in {"__main__", "__mp_main__"}:
    serve(Path(sys.argv[1]), int(sys.argv[2]))
