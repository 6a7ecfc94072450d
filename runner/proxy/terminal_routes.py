"""Terminals over HTTP, and each over a WebSocket of its own.

- `GET terminals` -> {terminals: [{id, title, kind: "shell"|"run"|"exec", cols, rows, start, end, exit}]}, exit null or
  {status, signal, lost?}
- `POST terminals` {cols?, rows?} -> 201, the new one; `DELETE terminals/{id}` -> 204
- `WS terminals/{id}?after=OFFSET`, binary messages u8 kind | body, numbers big-endian:
  browser -> proxy  1 INPUT bytes | 2 RESIZE u16 cols u16 rows (0 0: hidden) | 3 ACK u64 rendered up to | 4 SIGNAL u8
                    | 5 PING u32
  proxy -> browser  17 OUTPUT u64 offset, bytes | 18 GAP u64 from u64 to | 19 EXITED JSON | 20 SIZE u16 u16
                    | 21 PONG u32 | 22 READY JSON {id, kind, cols, rows, start, end, can_write}, always first
  Closed with 4404 when there is no such terminal (any more), 1007 when a message cannot be read, 1012 when the proxy
  stops: attach again.
"""

import asyncio
import re
import signal
import struct
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.errors import DevexError
from runner.proxy import files_http as http
from runner.proxy.link import AgentLink
from runner.proxy.terminal import NO_SUCH_TERMINAL, Attachment, Terminal
from runner.proxy.terminals import DEFAULT_SIZE, Terminals
from runner.proxy.viewer import viewer_of

INPUT, RESIZE, ACK, SIGNAL, PING = 1, 2, 3, 4, 5
MAX_MESSAGE_BYTES: Final = 1 << 20  # a large paste comes in pieces
BODY_BYTES: Final = 4096
BAD_DATA: Final = 1007
SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL})
# What xterm.js answers to programs by itself: device attributes, cursor position, modes, settings, colours.
_REPLY: Final = re.compile(rb"\x1b(?:\[[?>=]?[0-9;]*\$?[cnRyt]|[P\]])")
_RESIZE, _ACK, _PING = (struct.Struct(code) for code in (">HH", ">Q", ">I"))


class BadMessageError(Exception):
    """The browser sent what is no message."""


class TerminalRoutes:
    """`on_key` is called when somebody types."""

    def __init__(
        self, terminals: Terminals, link: AgentLink, shell: Sequence[str], *, on_key: Callable[[], None]
    ) -> None:
        self._terminals = terminals
        self._link = link
        self._shell = shell
        self._on_key = on_key

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/terminals", http.answered(self._list, writes=False), methods=["GET"]),
            Route("/terminals", http.answered(self._open, writes=True), methods=["POST"]),
            Route("/terminals/{id}", http.answered(self._close, writes=True), methods=["DELETE"]),
            WebSocketRoute("/terminals/{id}", _Endpoint(self._attach)),
        ]

    async def _list(self, _: Request) -> Response:
        return http.Json({"terminals": self._terminals.listing()})

    async def _open(self, request: Request) -> Response:
        asked = await http.json_body(request, BODY_BYTES)
        size = http.field(asked, "cols", int, DEFAULT_SIZE[0]), http.field(asked, "rows", int, DEFAULT_SIZE[1])
        terminal = await self._terminals.open("shell", self._shell, size=size)
        self._on_key()
        return http.Json(next(one for one in self._terminals.listing() if one["id"] == terminal.id), 201)

    async def _close(self, request: Request) -> Response:
        self._terminals.close(self._terminals.get(request.path_params["id"]))
        return Response(status_code=204)

    async def _attach(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        try:
            terminal = self._terminals.get(scope["path_params"]["id"])
            after = int(parse_qs(scope["query_string"]).get(b"after", [b"0"])[0])
        except (DevexError, ValueError) as error:
            await send({"type": "websocket.close", "code": NO_SUCH_TERMINAL, "reason": str(error)[:100]})
            return
        attachment = terminal.attach(max(after, 0), can_write=viewer_of(scope).can_write)
        sending = asyncio.create_task(_send(send, terminal, attachment), name=f"terminal {terminal.id}")
        try:
            await self._receive(receive, terminal, attachment)
        except BadMessageError as error:
            await send({"type": "websocket.close", "code": BAD_DATA, "reason": str(error)})
        finally:
            terminal.detach(attachment)
            sending.cancel()
            await asyncio.wait([sending])
        if not sending.cancelled():
            sending.result()

    async def _receive(self, receive: Receive, terminal: Terminal, attachment: Attachment) -> None:
        """Until the browser leaves, or was sent away."""
        while (message := await receive())["type"] != "websocket.disconnect":
            data = message.get("bytes")
            if not data or len(data) > MAX_MESSAGE_BYTES:
                raise BadMessageError("not a message")
            try:
                self._accept(terminal, attachment, data[0], data[1:])
            except struct.error:
                raise BadMessageError("a message of another length") from None
            if not self._link.writable.is_set():
                await self._link.writable.wait()  # the browser waits with us

    def _accept(self, terminal: Terminal, attachment: Attachment, kind: int, body: bytes) -> None:
        if kind == INPUT:
            if attachment.can_write and not (_REPLY.match(body) and not terminal.may_reply(attachment)):
                self._terminals.type(terminal, body)
                self._on_key()
        elif kind == ACK:
            terminal.acknowledge(attachment, *_ACK.unpack(body))
        elif kind == RESIZE:
            terminal.show(attachment, *_RESIZE.unpack(body))
        elif kind == SIGNAL:
            if attachment.can_write and len(body) == 1 and body[0] in SIGNALS:
                self._terminals.signal(terminal, body[0])
        elif kind == PING:
            attachment.answer(*_PING.unpack(body))
        else:
            raise BadMessageError("an unknown kind of message")


class _Endpoint:
    """Starlette takes an object for an ASGI application, and a function for one that wants its WebSocket class."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _send(send: Send, terminal: Terminal, attachment: Attachment) -> None:
    wake = attachment.wake
    try:
        while terminal.closed is None:
            if frame := attachment.next_frame():
                await send({"type": "websocket.send", "bytes": frame})
            else:
                wake.clear()
                await wake.wait()
        await send({"type": "websocket.close", "code": terminal.closed, "reason": "the terminal is closed"})
    except (OSError, RuntimeError):
        return  # the browser has left, or the server is closing its connections: _receive is told as well
