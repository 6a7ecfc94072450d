"""Answering with an error: JSON for programs, a page with a sentence and an action for people."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from starlette.responses import JSONResponse, Response
from starlette.status import WS_1008_POLICY_VIOLATION, WS_1011_INTERNAL_ERROR
from starlette.types import Message, Receive, Scope, Send

from runner.errors import DevexError
from runner.plain_page import PageLink, plain_page

REASON_MOST_BYTES: Final = 123  # RFC 6455, 5.5: 125 with the code before it


class Unexpected(DevexError):
    """What the user is told of a fault of ours."""

    def __init__(self) -> None:
        super().__init__("internal", "Something went wrong on the server.", "", status=500, retryable=True)
        self.action = f"Try again; if it stays, tell the operator this number: {self.id}."


def wants_page(scope: Scope) -> bool:
    """Somebody looks at the answer: a navigation, not a script's request."""
    headers = dict(scope["headers"])
    mode = headers.get(b"sec-fetch-mode", b"navigate")
    return scope.get("method") == "GET" and mode == b"navigate" and b"text/html" in headers.get(b"accept", b"")


def json_answer(error: DevexError) -> Response:
    """Also carries Retry-After where the error knows it."""
    headers = {"Cache-Control": "no-store"}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return JSONResponse(error.body(), error.status, headers=headers)


def page_answer(error: DevexError, *, href: str = "/", link: str = "Your REPLs", ancestors: str = "'none'") -> Response:
    return plain_page(error.message, error.action, error.status, link=PageLink(link, href), ancestors=ancestors)


def close_reason(text: str) -> str:
    """As much of it as the end of a WebSocket has room for; a longer one would be none."""
    return text.encode(errors="replace")[:REASON_MOST_BYTES].decode(errors="ignore")


async def refuse(scope: Scope, receive: Receive, send: Send, response: Response) -> None:
    """Answer a request, or a WebSocket's handshake, which then never opens."""
    if scope["type"] == "http":
        await response(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        start: Message = {"type": "websocket.http.response.start", "status": response.status_code}
        await send({**start, "headers": response.raw_headers})
        await send({"type": "websocket.http.response.body", "body": response.body})
    else:
        await send({"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION})


class Answering:
    """Knows how far an answer has come, so that an error is told once and in the right way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._closed = False
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif message["type"] in ("websocket.accept", "websocket.close"):
            self.status = self.status or (101 if message["type"] == "websocket.accept" else 403)
            self._closed = message["type"] == "websocket.close"
        await self._send(message)

    async def fail(
        self,
        error: Exception,
        public: Callable[[Exception], DevexError],
        answer: Callable[[Scope, DevexError], Response],
    ) -> None:
        """Tell of it while there is somebody to be told. `public` says what may be told, and logs what may not."""
        if self.status >= 500:
            return  # whoever answered so has logged it
        told = public(error)
        with suppress(OSError, RuntimeError):  # who asked has left, or is leaving
            if not self.status:
                await refuse(self._scope, self._receive, self.send, answer(self._scope, told))
            elif self.status == 101 and not self._closed:
                code = WS_1008_POLICY_VIOLATION if told.status in (401, 403, 404) else WS_1011_INTERNAL_ERROR
                await self.send({"type": "websocket.close", "code": code, "reason": close_reason(told.message)})
            # else: a body left unfinished is cut off by the server, so that it does not look whole
