"""`/diagnose`: a page that finds out what is wrong with the network, and the routes that it tries; and `/signed-in`.

For anybody, without a session, a database or NiceGUI: whoever comes here may have none of them. The page is one file
and its script (`diagnose.html`, `diagnose.js`); there is nothing of anybody in them.

- `GET /diagnose/there` -> 204: what open pages ask while they have no connection, several times a second each
- `GET /diagnose/about` -> {time_ms, https, cookie}: the server's clock, and whether the page's cookie came back
- `GET /diagnose/stream`: a line at once and one a second later, which tells whether a proxy holds answers back
- `WS /diagnose/echo`: says "hello", then what it is told
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, Router, WebSocketRoute
from starlette.status import WS_1008_POLICY_VIOLATION, WS_1013_TRY_AGAIN_LATER
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import cookies
from runner.cookies import set_cookie, values_of

PATH, THERE, SIGNED_IN = "/diagnose", "/diagnose/there", "/signed-in"
COOKIE: Final = "devex_check"
COOKIE_LASTS_S: Final = 300
HELD_BACK_S: Final = 1.0  # between the lines of the stream

# Of sockets for anybody: a page says five short things, within a second or two.
AT_ONCE_MOST: Final = 64
OPEN_MOST_S: Final = 20.0
MESSAGES_MOST: Final = 16
MESSAGE_MOST_CHARACTERS: Final = 256

_HERE: Final = Path(__file__).resolve().parent
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}


class Diagnosis:
    """The ASGI application behind both paths."""

    def __init__(self, *, https: bool) -> None:
        self._https = https
        self._open = 0
        self._pages = {name: (_HERE / f"{name}.html").read_text() for name in ("diagnose", "signed_in")}
        self._scripts = {name: (_HERE / f"{name}.js").read_text() for name in ("diagnose", "signed_in")}
        self._router = Router(
            [
                Route(PATH, self._page),
                Route(SIGNED_IN, self._signed_in),
                Route(f"{PATH}/{{name}}.js", self._script),
                Route(f"{PATH}/about", self._about),
                Route(f"{PATH}/stream", self._stream),
                WebSocketRoute(f"{PATH}/echo", self._echo),
            ],
            redirect_slashes=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == THERE and scope["type"] == "http":
            await Response(status_code=204, headers={"Cache-Control": "no-store"})(scope, receive, send)
            return
        # Without "app": Starlette would raise there what it refuses.
        own = {name: value for name, value in scope.items() if name != "app"}
        await self._router(own, receive, send)

    async def _page(self, _: Request) -> Response:
        cookie = set_cookie(self._cookie, "1", secure=self._https, max_age_s=COOKIE_LASTS_S)
        return HTMLResponse(self._pages["diagnose"], headers={**_HEADERS, "Set-Cookie": cookie})

    async def _signed_in(self, _: Request) -> Response:
        """Where the sign-in of a pop-up ends: it tells the page that opened it, and closes."""
        return HTMLResponse(self._pages["signed_in"], headers=_HEADERS)

    async def _script(self, request: Request) -> Response:
        script = self._scripts.get(request.path_params["name"])
        status = 404 if script is None else 200
        return Response(script or "", status, {"Cache-Control": "no-store"}, media_type="text/javascript")

    async def _about(self, request: Request) -> Response:
        came_back = values_of(request.scope["headers"], self._cookie) == ["1"]
        about = {"time_ms": round(time.time() * 1000), "https": self._https, "cookie": came_back}
        return JSONResponse(about, headers={"Cache-Control": "no-store"})

    async def _stream(self, _: Request) -> Response:
        async def lines() -> AsyncIterator[bytes]:
            yield b"at once\n"
            await asyncio.sleep(HELD_BACK_S)
            yield b"later\n"

        return StreamingResponse(lines(), media_type="text/plain", headers={"Cache-Control": "no-store"})

    async def _echo(self, socket: WebSocket) -> None:
        """Opens in any case: whoever finds it closed is told that the network closes it."""
        await socket.accept()
        if self._open >= AT_ONCE_MOST:
            await socket.close(WS_1013_TRY_AGAIN_LATER)
            return
        self._open += 1
        try:
            with suppress(TimeoutError, WebSocketDisconnect):
                async with asyncio.timeout(OPEN_MOST_S):
                    await self._echo_each(socket)
                    return
            with suppress(RuntimeError):  # the browser has left
                await socket.close()
        finally:
            self._open -= 1

    async def _echo_each(self, socket: WebSocket) -> None:
        await socket.send_text("hello")
        for _ in range(MESSAGES_MOST):
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None or len(text) > MESSAGE_MOST_CHARACTERS:
                break
            await socket.send_text(text)
        await socket.close(WS_1008_POLICY_VIOLATION)

    @property
    def _cookie(self) -> str:
        return cookies.full_name(COOKIE, https=self._https)
