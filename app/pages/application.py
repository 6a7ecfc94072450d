"""NiceGUI's one application: the pages, their policy, and how they answer errors."""

from typing import Literal
from urllib.parse import urlencode

from fastapi import Request
from nicegui import App, Client, app, core, ui
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from app.access import Action, SignInNeeded, allowed
from app.addresses import Addresses
from app.errors import answer, public_error
from app.gateway.previews import Previews
from app.pages import account, admin, dashboard, open_pages, sign_in, way_in
from app.pages.assets import Assets
from app.pages.open_pages import RoomForPages
from app.pages.policy import STORAGE_SHIM, PagePolicy
from app.pages.workbench import workbench
from app.services import Services
from components import theme
from runner.answers import wants_page
from runner.errors import DevexError

# Long polling keeps something for every request of a stranger; a WebSocket is one connection, and those are counted.
TRANSPORTS: tuple[Literal["websocket"], ...] = ("websocket",)


def prepare(services: Services, addresses: Addresses, previews: Previews) -> None:
    """Register the pages on NiceGUI's app; a second time in one process replaces the first."""
    app.state.services = services
    type(app.storage).path = services.settings.data_dir.resolve() / "pages"  # themes; it is read from the class
    app.user_middleware.clear()
    app.middleware_stack = None
    app.add_middleware(PagePolicy, previews=f"{addresses.scheme}://*.{addresses.previews.authority}")
    app.add_middleware(RoomForPages)
    app.add_exception_handler(DevexError, _refused)
    app.add_exception_handler(404, _no_page)
    app.add_exception_handler(Exception, _refused)
    if STORAGE_SHIM not in Client.shared_head_html:
        ui.add_head_html(STORAGE_SHIM, shared=True)
    core.sio.on(open_pages.THERE, open_pages.say_there)
    core.sio.eio.cors_allowed_origins = sorted(addresses.origins)
    core.sio.eio.transports = list(TRANSPORTS)
    app.config.socket_io_js_transports = list(TRANSPORTS)
    app.config.quasar_config["loadingBar"] = {"skipHijack": True}  # each element shows what it waits for
    theme.serve([allowed(Action.VISIT)])
    for page in (sign_in, dashboard, workbench, account, admin):
        page.register(services)
    way_in.register(previews)


class NoPage(DevexError):
    def __init__(self) -> None:
        super().__init__("no_page", "There is no such page.", "Go back to your REPLs.", status=404)


def middleware_stack() -> ASGIApp:
    """NiceGUI's, with what `ui.run` added to it."""
    return Assets(App.build_middleware_stack(app))


async def _no_page(request: Request, error: Exception) -> Response:
    return answer(request.scope, NoPage())


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, SignInNeeded) and wants_page(request.scope):
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/sign-in?{urlencode({'then': target})}", 303, headers={"Cache-Control": "no-store"})
    return answer(request.scope, public_error(error))
