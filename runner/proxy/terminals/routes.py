"""Terminals over HTTP, and each over a WebSocket of its own.

- `GET terminals` -> {terminals: [{id, title, named, kind: "shell"|"run", cols, rows, start, end, exit}]}: `named`
  whether somebody gave it its title; exit null or {status, signal, peak_bytes, lost?}: the most memory one of its
  processes had, null when nobody knows
- `POST terminals` {cols?, rows?} -> 201, the new one; `DELETE terminals/{id}` -> 204; with `?idle=1` only
  when its shell waits for no program: 409 `busy`
- `PATCH terminals/{id}` {title} -> 204: a shell's name, at most 60 characters, "" for the one it had at first
- `WS terminals/{id}?after=OFFSET&page=ID.SENT`: runner/proxy/terminals/wire.py
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.status import WS_1007_INVALID_FRAME_PAYLOAD_DATA
from starlette.types import Receive, Scope, Send

from runner.answers import close_reason
from runner.direct import EXTENSION
from runner.errors import DevexError
from runner.proxy import http
from runner.proxy.link import AgentLink
from runner.proxy.records.about import Origin
from runner.proxy.terminals import wire
from runner.proxy.terminals.attachment import Attachment
from runner.proxy.terminals.exits import SIGNALS
from runner.proxy.terminals.replies import is_answer, is_report
from runner.proxy.terminals.screen import DEFAULT_SIZE
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.terminals import MAX_OFFSET, Terminals
from runner.viewer import viewer_of

BODY_BYTES: Final = 4096  # a size or a name: no request of ours is longer


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
            http.Endpoint("GET", "/terminals", self._list, writes=False),
            http.Endpoint("POST", "/terminals", self._open, writes=True),
            http.Endpoint("PATCH", "/terminals/{id}", self._rename, writes=True),
            http.Endpoint("DELETE", "/terminals/{id}", self._close, writes=True),
            WebSocketRoute("/terminals/{id}", self),
        ]

    async def _list(self, _: Request) -> Response:
        return http.Json({"terminals": self._terminals.listing()})

    async def _open(self, request: Request) -> Response:
        asked = await http.json_body(request, BODY_BYTES)
        size = http.field(asked, "cols", int, DEFAULT_SIZE[0]), http.field(asked, "rows", int, DEFAULT_SIZE[1])
        terminal = await self._terminals.open(
            "shell", self._shell, size=size, origin=Origin(who=viewer_of(request.scope))
        )
        return http.Json(next(one for one in self._terminals.listing() if one["id"] == terminal.id), 201)

    async def _rename(self, request: Request) -> Response:
        terminal = self._terminals.get(request.path_params["id"])
        self._terminals.rename(terminal, http.field(await http.json_body(request, BODY_BYTES), "title", str))
        return Response(status_code=204)

    async def _close(self, request: Request) -> Response:
        terminal = self._terminals.get(request.path_params["id"])
        if request.query_params.get("idle") == "1" and (name := await self._terminals.busy_with(terminal)):
            raise DevexError("busy", f"“{name}” runs in this terminal.", "Close it all the same, or wait.", status=409)
        self._terminals.close(terminal)
        return Response(status_code=204)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The WebSocket."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        query = parse_qs(scope["query_string"])
        try:
            after = int(query.get(b"after", [b"0"])[0])
        except ValueError:
            await _close(send, WS_1007_INVALID_FRAME_PAYLOAD_DATA, "after is not a number")
            return
        try:
            terminal = await self._terminals.get_waiting(scope["path_params"]["id"])
        except DevexError as error:
            await _close(send, wire.NO_SUCH_TERMINAL, close_reason(error.message))
            return
        page = query.get(b"page", [b""])[0]
        attachment = terminal.attach(min(max(after, 0), MAX_OFFSET), viewer_of(scope), page)
        if direct := scope.get("extensions", {}).get(EXTENSION):
            attachment.direct = direct
            direct.on_message = partial(self._take, terminal, attachment)
        sending = asyncio.create_task(_send(send, terminal, attachment), name=f"terminal {terminal.id}")
        try:
            await self._receive(receive, terminal, attachment)
        except wire.BadMessage as error:
            await _close(send, WS_1007_INVALID_FRAME_PAYLOAD_DATA, str(error))
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
            if not data or len(data) > wire.MAX_MESSAGE_BYTES:
                raise wire.BadMessage("not a message")
            if data[0] == wire.INPUT and not self._link.connected:
                await self._terminals.until_room(terminal, len(data) - 1)
            self._accept(terminal, attachment, data[0], data[1:])
            if not self._link.writable.is_set():
                await self._link.writable.wait()  # the browser waits with us

    def _take(self, terminal: Terminal, attachment: Attachment, data: bytes) -> bool:
        """What need not wait for the agent."""
        if not 0 < len(data) <= wire.MAX_MESSAGE_BYTES or not (self._link.connected and self._link.writable.is_set()):
            return False
        try:
            self._accept(terminal, attachment, data[0], data[1:])
        except wire.BadMessage:  # it is said to the browser when it comes again
            return False
        return True

    def _accept(self, terminal: Terminal, attachment: Attachment, kind: int, body: bytes) -> None:
        if kind == wire.INPUT:
            if not attachment.take(len(body)):
                raise wire.BadMessage("the page has a newer connection")  # if it has not, it dials again
            self._type(terminal, attachment, body)
        elif kind == wire.ACK:
            terminal.acknowledge(attachment, wire.offset(body))
        elif kind == wire.RESIZE:
            terminal.show(attachment, *wire.cells(body))
        elif kind == wire.SIGNAL and len(body) == 1 and body[0] in SIGNALS:
            if terminal.may_type(attachment, 0):
                self._terminals.signal(terminal, body[0])
        elif kind == wire.TURN:
            if not terminal.people.give(attachment, wire.number(body)):
                attachment.refuse(0, terminal.people.holder)
        elif kind == wire.PING:
            attachment.pong(wire.number(body))
        else:
            raise wire.BadMessage("an unknown kind of message, or signal")

    def _type(self, terminal: Terminal, attachment: Attachment, body: bytes) -> None:
        """Keys; and what a terminal says by itself, which is no activity: programs may ask for it all day."""
        if is_answer(body):
            if terminal.may_answer(attachment):
                self._terminals.type(terminal, body)
        elif is_report(body):
            if terminal.may_report(attachment):
                self._terminals.type(terminal, body)
        elif terminal.may_type(attachment, len(body)):
            self._terminals.type(terminal, body)
            self._on_key()


async def _send(send: Send, terminal: Terminal, attachment: Attachment) -> None:
    wake = attachment.wake
    try:
        while terminal.closed is None:
            if frame := attachment.next_frame():
                await send({"type": "websocket.send", "bytes": frame})
            else:
                wake.clear()
                await wake.wait()
        await _close(send, terminal.closed, "the terminal is closed")
    except (OSError, RuntimeError):
        return  # the browser has left, or the server is closing its connections: _receive is told as well


async def _close(send: Send, code: int, reason: str) -> None:
    await send({"type": "websocket.close", "code": code, "reason": reason})
