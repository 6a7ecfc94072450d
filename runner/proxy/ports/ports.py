"""`/ports/{port}/{path}`: the pages of programs in the sandbox, HTTP here and WebSockets in `websocket`.

Bytes flow as fast as the slower side takes them, both ways at once; nothing is collected. One connection a request.
"""

import asyncio
import html
import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

import h11
from starlette.status import WS_1011_INTERNAL_ERROR
from starlette.types import Message, Receive, Scope, Send

from runner.errors import DevexError
from runner.proxy import http
from runner.proxy.link import AgentLink
from runner.proxy.ports.headers import HEAD_BYTES, Headers, to_browser, to_program
from runner.proxy.ports.streams import Pair, PortClosed, Streams
from runner.proxy.ports.websocket import relay_websocket

LOWEST_PORT: Final = 1024  # programs without privileges listen on no lower one
READ_BYTES: Final = 64 * 1024
VERSION: Final = b"HTTP/"  # what every answer begins with
SILENCE_S: Final = 3600.0  # a connection without a byte for so long is forgotten
RETRY_S: Final = 2  # the page that says that nothing answers asks again by itself

# In the colours of the page before it, the one that waits for the REPL to start.
_CLOSED_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Port {port}</title>
<meta http-equiv="refresh" content="{retry_s}"><meta name="viewport" content="width=device-width">
<style>
body{{font:14px/1.5 Inter,system-ui,sans-serif;display:grid;place-content:center;gap:10px}}
body{{margin:0 16px;min-height:90vh;text-align:center;color:#1d222b;background:#fff}}
h1{{font-size:20px;font-weight:620;margin:0}}p{{margin:0;color:#5d6675}}
@media(prefers-color-scheme:dark){{body{{color:#d9dde6;background:#14171d}}p{{color:#929bab}}}}</style>
<h1>{message}</h1><p>{action} This page loads by itself when the program answers.</p></html>"""


class BadAnswer(DevexError):
    """What came from the port is not HTTP, or nothing came."""

    def __init__(self, port: int) -> None:
        message = f"The program on port {port} does not answer with a web page."
        super().__init__("bad_answer", message, "Look at its output.", status=502)


class Ports:
    """The ASGI application behind `/ports`; path parameter `port`.

    `run_state` is as `GET run` tells. `on_visit` is called at every request that reaches a program: the page that says
    that nothing answers asks again for as long as it is open, and keeps nothing awake by it. `on_answer(port, is_web)`
    is called when a program answered one, with HTTP or not.
    It is learned from visits: a probe of ours would show up in the program's log, or take the only visit it serves.
    """

    def __init__(
        self,
        link: AgentLink,
        streams: Streams,
        *,
        run_state: Callable[[], Mapping[str, Any]],
        on_visit: Callable[[], None],
        on_answer: Callable[[int, bool], None],
    ) -> None:
        self._link = link
        self._streams = streams
        self._run_state = run_state
        self._on_visit = on_visit
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = scope["path_params"]["port"]
        answer = _Answer(scope, send, on_started=lambda: self._on_answer(port, True))
        try:
            if not LOWEST_PORT <= port < 1 << 16:
                raise DevexError("no_port", "There is no such port.", f"Use one from {LOWEST_PORT} on.", status=404)
            async with self._streams.open(self._link, port) as pair:
                self._on_visit()
                if scope["type"] == "websocket":
                    await relay_websocket(scope, receive, answer.send, pair, target=_target(scope), port=port)
                else:
                    await _relay_http(scope, receive, answer.send, pair, port)
        except (BadAnswer, h11.RemoteProtocolError, OSError):
            if not answer.started:
                self._on_answer(port, False)
            await answer.refuse(BadAnswer(port), port)
        except PortClosed as error:
            await answer.refuse(self._explained(error, port), port)
        except DevexError as error:
            await answer.refuse(error, port)

    def _explained(self, closed: PortClosed, port: int) -> DevexError:
        """Why nobody listens, as far as it can be told from the program that was run."""
        run = self._run_state()
        if run["terminal"] is None:
            return closed
        because, action = "its program has not opened it", "It may still be starting: look at its output."
        if not run["running"]:
            because, action = "its program has ended", "Look at its output, then press Run."
            if run["exit_code"] is not None:
                because = f"its program ended with exit code {run['exit_code']}"
        message = f"Nothing in this REPL answers on port {port}: {because}."
        return DevexError(closed.code, message, action, status=closed.status, retryable=True)


async def _relay_http(scope: Scope, receive: Receive, send: Send, pair: Pair, port: int) -> None:
    writer = pair.writer
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    headers = to_program(scope["headers"], port, scope["scheme"])
    if b"content-length" not in dict(headers) and dict(scope["headers"]).get(b"transfer-encoding"):
        headers.append((b"transfer-encoding", b"chunked"))
    headers.append((b"connection", b"close"))
    request = h11.Request(method=scope["method"], target=_target(scope), headers=headers)
    writer.write(connection.send(request) or b"")
    upload = asyncio.create_task(_upload(receive, connection, writer), name=f"upload to port {port}")
    try:
        await _download(connection, pair, send, port)
    except PortClosed:
        if upload.done():  # the browser left
            raise
        raise BadAnswer(port) from None
    finally:
        upload.cancel()
        await asyncio.wait([upload])
    if not upload.cancelled():
        upload.result()


async def _upload(receive: Receive, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
    """The request's body; then wait for the browser to leave, which ends everything."""
    try:
        while (message := await receive())["type"] == "http.request":
            if body := message.get("body", b""):
                writer.write(connection.send(h11.Data(data=body)) or b"")
                await writer.drain()
            if not message.get("more_body", False):
                writer.write(connection.send(h11.EndOfMessage()) or b"")
    except (OSError, h11.LocalProtocolError):
        return  # the program stopped reading; it may have answered nevertheless
    writer.transport.abort()


async def _download(connection: h11.Connection, pair: Pair, send: Send, port: int) -> None:
    begun = False
    while True:
        await pair.turn()
        event = connection.next_event()
        match event:
            case h11.Response():
                await send(_start(event.status_code, to_browser(event.headers.raw_items(), port)))
            case h11.Data():
                await send({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
            case h11.EndOfMessage():
                await send({"type": "http.response.body", "body": b""})
                return
            case h11.ConnectionClosed():
                raise PortClosed(port)
            case h11.PAUSED:  # behind the answer to a CONNECT comes no HTTP
                raise BadAnswer(port)
            case h11.NEED_DATA:
                async with asyncio.timeout(SILENCE_S):
                    data = await pair.reader.read(READ_BYTES)
                if not begun and not VERSION.startswith(data[: len(VERSION)]):
                    raise BadAnswer(port)  # h11 would wait for the end of a head that may never come
                begun = True
                connection.receive_data(data)


def _start(status: int, headers: Headers) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _target(scope: Scope) -> bytes:
    """Path and query for the program, byte for byte as the browser sent them where that is known."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    path = re.split(rb"/ports/0*%d(?=/)" % scope["path_params"]["port"], raw, maxsplit=1)[-1]
    query: bytes = scope["query_string"]
    return path + (b"?" + query if query else b"")


class _Answer:
    """Knows whether the browser has been answered, so that a failure is told once and in the right way."""

    def __init__(self, scope: Scope, send: Send, *, on_started: Callable[[], None]) -> None:
        self._scope = scope
        self._send = send
        self._on_started = on_started
        self.started = False

    async def send(self, message: Message) -> None:
        if not self.started:
            self.started = True
            self._on_started()
        await self._send(message)

    async def refuse(self, error: DevexError, port: int) -> None:
        if self.started:
            return  # a body left unfinished is cut off by the server, so that it does not look whole
        accepts = dict(self._scope["headers"]).get(b"accept", b"")
        if b"text/html" in accepts:
            page = _CLOSED_PAGE.format(
                port=port, retry_s=RETRY_S, message=html.escape(str(error)), action=html.escape(error.action)
            )
            body, kind = page.encode(), b"text/html; charset=utf-8"
        else:
            body, kind = bytes(http.Json(error.body()).body), b"application/json"
        headers = [(b"content-type", kind), (b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
        if self._scope["type"] == "websocket":
            await self._refuse_websocket(error.status, headers, body)
            return
        await self._send(_start(error.status, headers))
        await self._send({"type": "http.response.body", "body": body})

    async def _refuse_websocket(self, status: int, headers: Headers, body: bytes) -> None:
        if "websocket.http.response" not in self._scope.get("extensions", {}):
            await self._send({"type": "websocket.close", "code": WS_1011_INTERNAL_ERROR})
            return
        await self._send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": body})
