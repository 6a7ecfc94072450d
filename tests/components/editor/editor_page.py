"""Pages with nothing but the editor: `/ID` shows that of FOLDER/ID. Run as `editor_page.py FOLDER PORT`."""

import asyncio
import sys
from functools import cache, partial
from pathlib import Path

from nicegui import app, ui
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from components import theme
from components.editor import Editor
from components.palette import Command, Palette
from runner.documents import room
from runner.documents.disk import MAX_TEXT_BYTES
from runner.documents.rooms import Rooms
from runner.proxy.documents import route
from runner.viewer import Viewer
from runner.workspace import Workspace


def serve(folder: Path, port: int) -> None:
    @cache
    def rooms_of(repl_id: str) -> Rooms:
        made = Rooms(Workspace(folder / repl_id), on_edit=lambda _: None)
        opened.append(made)
        return made

    opened: list[Rooms] = []

    async def documents(scope: Scope, receive: Receive, send: Send) -> None:
        can_write = b"viewer" not in dict(scope["headers"]).get(b"cookie", b"")
        viewer = Viewer(user_id="one", name="One", can_write=can_write)
        routes = Starlette(routes=[route(rooms_of(scope["path_params"]["repl_id"]))])
        await routes({**scope, "devex.viewer": viewer}, receive, send)

    async def follow() -> None:
        while True:  # stands in for the watcher, which is tested by itself
            await asyncio.sleep(0.1)
            for rooms in opened:
                rooms.disk_hint("")

    async def close() -> None:
        for rooms in opened:
            await rooms.__aexit__(None, None, None)

    def shrink(button: ui.button) -> None:
        vars(room)["MAX_TEXT_BYTES"] = 1000
        button.set_text("is small")

    app.on_startup(follow)
    app.on_shutdown(close)
    app.mount("/repls/{repl_id}", documents)
    theme.serve()

    @ui.page("/{repl_id}")
    def page(repl_id: str) -> None:
        vars(room)["MAX_TEXT_BYTES"] = MAX_TEXT_BYTES
        rooms = rooms_of(repl_id)
        theme.use("auto")
        commands = [Command("save", "Save the file", "Mod+S")]
        Palette(repl_id, commands, on_command=lambda _: None, on_open=lambda *_: None)
        ui.element("span").props("id=saved")
        ui.element("span").props("id=cursor")
        with ui.element("div").style("height: 90vh; display: flex"):
            editor = Editor(
                repl_id,
                first_file="a.py",
                saved_in="saved",
                cursor_in="cursor",
                save_command="save",
            )
        ui.button("b", on_click=lambda: editor.open_file("src/b.md", 3)).props("id=open-b")
        ui.button("bin", on_click=lambda: editor.open_file("x.bin")).props("id=open-bin")
        ui.button("move", on_click=lambda: rooms.move("a.py", "src/c.md")).props("id=move")
        small = ui.button("small").props("id=small")
        small.on_click(partial(shrink, small))
        ui.button("remove", on_click=lambda: rooms.remove("src")).props("id=remove")
        ui.button("close", on_click=lambda: editor.close_file("src")).props("id=close")

    ui.run(host="127.0.0.1", port=port, show=False, reload=False, show_welcome_message=False, storage_secret="page")


if __name__ in {"__main__", "__mp_main__"}:
    serve(Path(sys.argv[1]), int(sys.argv[2]))
