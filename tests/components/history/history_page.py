"""Pages with the history, the receipt and a file tree over REPLs that save versions, without sandboxes.
Run as `python -m ... FOLDER PORT`; `POST /begin/ID` makes a REPL, which serves FOLDER/ID/workspace, keeps
its versions in FOLDER/ID/store and is shown at `/ID`.
"""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from nicegui import app, ui
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from components import theme
from components.controls import text
from components.editor import Editor
from components.file_tree import FileTree
from components.history import History, Receipt, Restoring
from components.palette import Command, Palette
from components.repl import ReplEvents
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.worker.workers import Workers
from runner.viewer import Viewer
from runner.workspace import Usage

FOLDER, PORT = Path(sys.argv[1]), int(sys.argv[2])
COMMANDS = (
    Command("history", "History"),
    Command("save-version", "Save a version now"),
    Command("else", "Something else"),
)


class Repl:
    """Each proxy of it has the workspace to itself."""

    def __init__(self, repl_id: str, workers: Workers) -> None:
        folder = FOLDER / repl_id
        self.workspace = folder / "workspace"
        self.workspace.mkdir(parents=True)
        self.config = ProxyConfig(
            repl_id=repl_id,
            workspace=self.workspace,
            socket_path=folder / "agent.sock",
            agent_uid=0,
            environment={},
            quota_bytes=1 << 30,
            quota_entries=10_000,
            records=folder / "records",
            restored=folder / "restored",
        )
        shelf = Shelf(
            store=spec_of(folder / "store"), prefix=repl_id, workspace=self.workspace, owner=None,
            limit=Usage(1 << 30, 10_000), cache=folder / "cache.db", epoch=1,
        )  # fmt: skip
        self.snapshots = Snapshots(workers, shelf)
        self.proxy: RunnerProxy | None = None

    async def come_up(self) -> None:
        self.proxy = await RunnerProxy(self.config, on_activity=lambda _: None, snapshots=self.snapshots).__aenter__()

    async def go_down(self) -> None:
        """Takes no version. Nobody is let in any more, as to a process that is dead."""
        proxy, self.proxy = self.proxy, None
        assert proxy is not None
        await proxy.__aexit__()

    async def lose(self) -> None:
        await self.go_down()
        shutil.rmtree(self.workspace)
        self.workspace.mkdir()
        (FOLDER / self.config.repl_id / "restored").unlink()
        await self.come_up()


workers = Workers()
repls: dict[str, Repl] = {}


@app.post("/begin/{repl_id}")
async def begin(repl_id: str) -> None:
    repls[repl_id] = Repl(repl_id, workers)
    await repls[repl_id].come_up()


@app.post("/lose/{repl_id}")
async def lose(repl_id: str) -> None:
    await repls[repl_id].lose()


@app.post("/end/{repl_id}")
async def end(repl_id: str) -> None:
    await repls.pop(repl_id).go_down()


@asynccontextmanager
async def serving(_: object) -> AsyncIterator[None]:
    async with workers, inner(app):
        yield


async def door(scope: Scope, receive: Receive, send: Send) -> None:
    answer = repls[scope["path_params"]["repl_id"]].proxy or Response(status_code=503)
    await answer({**scope, "devex.viewer": Viewer("u1", "ada", can_write=True)}, receive, send)


@ui.page("/{repl_id}")
def page(repl_id: str, writable: bool = True, editor: bool = False) -> None:
    theme.use("light")
    heard = text("", tag="output").props("id=heard")

    def hear(*what: str) -> None:
        heard.set_text(" ".join(what))

    ReplEvents(repl_id, on_told=lambda _: None)
    Palette(repl_id, COMMANDS, on_command=hear, on_open=lambda *_: None)
    Restoring()
    if editor:
        with ui.element("div").style("height: 30vh; display: flex"):
            Editor(repl_id, first_file="a.txt")
    with ui.element("main").classes("dx-wb-main").style("height: 85vh"):
        with ui.element("div").style("height: 100%"):
            FileTree(repl_id, on_open=lambda _: None, on_failed=lambda *_: None)
        history = History(
            repl_id,
            on_told=lambda said: hear("told", said),
            on_failed=lambda *said: hear("failed", *said),
        )
        history.set_writable(writable=writable, why_not="Look, but do not touch.")
    with ui.element("footer").classes("dx-status"):
        Receipt()


theme.serve()
app.mount("/repls/{repl_id}", door)
inner = app.router.lifespan_context
app.router.lifespan_context = serving
ui.run(host="127.0.0.1", port=PORT, reload=False, show=False, tailwind=False, storage_secret="only for tests")
