"""NiceGUI's open pages: by what they were opened with, so that they end with it, and how many there may be."""

from collections import Counter, defaultdict
from collections.abc import Collection

from nicegui import Client, background_tasks, core
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access import Standing, found_access
from app.addresses import network_of
from app.errors import answer
from runner.errors import DevexError

NAMESPACE = "/"
NO_PAGES = ("/_nicegui", "/_devex/")  # their scripts, styles and sockets

# A page that does something better than to be loaded anew says so: see components/repl/devex_network.js.
SIGNED_OUT = "dispatchEvent(new Event('devex:signed-out', {cancelable: true})) && location.reload()"
RIGHTS_CHANGED = "location.reload()"
THERE = "devex_there"  # what a page asks to know that its socket is alive: components/repl/page_socket.mjs

# A page is kept for a minute until its script connects, which browsers do at once: this is for what is no browser.
WAITING_MOST = 500  # 120 KiB each
WAITING_BY_ADDRESS = 100


class TooManyPages(DevexError):
    retry_after_s = 60

    def __init__(self) -> None:
        message = "Too many pages were asked for at once."
        super().__init__("pages", message, "Try again in a minute.", status=429, retryable=True)


class RoomForPages:
    """ASGI middleware: makes no page while too many wait for their browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(NO_PAGES):
            waiting = Counter(_address_of(client) for client in Client.instances.values() if _waits(client))
            address = network_of(scope["client"][0]) if scope.get("client") else ""
            if waiting[address] >= WAITING_BY_ADDRESS or waiting.total() >= WAITING_MOST:
                await answer(scope, TooManyPages())(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def say_there(sid: str) -> bool:
    """The answer to THERE."""
    return True


def by_standing() -> dict[Standing, list[Client]]:
    """The open pages; pages of nobody are left out."""
    found: defaultdict[Standing, list[Client]] = defaultdict(list)
    for client in list(Client.instances.values()):
        if (standing := _standing_of(client)).session_id:
            found[standing].append(client)
    return found


def close(standings: Collection[Standing], *, signed_out: bool) -> None:
    """Delete the pages and cut their sockets; a browser loads its page again. Who is signed out is asked to sign in,
    on the page itself where it can.
    """
    open_now = by_standing()
    for standing in standings:
        for client in open_now.get(standing, []):
            sockets = [sid for sid, _ in core.sio.manager.get_participants(NAMESPACE, client.id)]
            for sid in sockets:  # deleting it clears no screen: what is there may not have been saved
                core.sio.manager.basic_leave_room(sid, NAMESPACE, client.id)
            for document_id in list(client._delete_tasks):  # it waits for its browser, to be deleted without it
                client._cancel_delete_task(document_id)
            client.delete()
            for sid in sockets:
                background_tasks.create(_cut(sid, SIGNED_OUT if signed_out else RIGHTS_CHANGED), name=f"cut {sid}")


async def _cut(sid: str, code: str) -> None:
    await core.sio.emit("run_javascript", {"code": code}, to=sid)  # as NiceGUI says it
    await core.sio.disconnect(sid)


def _waits(client: Client) -> bool:
    """It never had a browser; as NiceGUI itself finds what it deletes after a minute."""
    return not client.has_socket_connection and not client._delete_tasks


def _address_of(client: Client) -> str:
    try:
        return network_of(client.ip)
    except RuntimeError:
        return ""  # a client without a request


def _standing_of(client: Client) -> Standing:
    """What it was opened with; of nobody also with the token of a session that has ended."""
    try:
        request = client.request
    except RuntimeError:
        return Standing("", "")  # a client without a request has no user either
    return found_access(request).standing
