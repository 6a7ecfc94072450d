"""The way into a preview for who comes without a ticket: by a bookmark, a link, or after a start of the REPL."""

from typing import Annotated

from fastapi.responses import RedirectResponse, Response
from nicegui import app

from app.access import Access, Action, allowed
from app.gateway.previews import Previews
from runner.previews.entrance import WAY_IN

PATH = f"{WAY_IN}/{{slug}}/{{port:int}}"


def register(previews: Previews) -> None:
    app.remove_route(PATH)  # of a server before, in one process

    @app.get(PATH, include_in_schema=False)
    def way_in(access: Annotated[Access, allowed(Action.PREVIEW)], port: int, path: str = "/") -> Response:
        address = previews.enter_url(access.the_repl, access.actor, port, path=path)
        return RedirectResponse(address, 303, headers={"Cache-Control": "no-store"})
