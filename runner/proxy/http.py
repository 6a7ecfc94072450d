"""The HTTP side of files: what is asked for, what is answered, how bytes flow. No path is resolved here."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote, unquote, unquote_to_bytes

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Router
from starlette.types import Receive, Scope, Send

from runner.errors import DevexError
from runner.proxy.viewer import viewer_of
from runner.workspace.drafts import ABSENT
from runner.workspace.paths import display, parse
from runner.workspace.problems import explain

IDLE_S: Final = 60.0  # an upload that sends nothing for this long is over
DRAIN_BYTES: Final = 128 << 20  # of a refused upload read on, so that the browser sees why instead of a cut connection
WRITE_BYTES: Final = 1 << 20  # collected before one hop to a thread
# User content is never a page of this origin, whatever it calls itself.
SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")
Endpoint = Callable[[Request], Awaitable[Response]]


class Json(Response):
    """ASCII: names that are no UTF-8 travel as escaped lone surrogates."""

    media_type = "application/json"

    def __init__(self, content: object, status_code: int = 200) -> None:
        super().__init__(json.dumps(content, separators=(",", ":")), status_code, {"Cache-Control": "no-store"})


class Routes(Router):
    """Says in our words what is no route; Starlette's are not for people, and it redirects to where we are not."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await super().not_found(scope, receive, send)
        else:
            nothing = DevexError("not_found", "There is nothing here.", "Check the address.", status=404)
            await Json(nothing.body(), nothing.status)(scope, receive, send)


def answered(endpoint: Endpoint, *, writes: bool) -> Endpoint:
    """Refuses viewers who may only look, compressed bodies, and turns DevexErrors into answers."""

    async def answer(request: Request) -> Response:
        try:
            if writes:
                _require_writer(request)
            if request.headers.get("content-encoding", "identity") != "identity":
                raise DevexError(
                    "compressed",
                    "Compressed request bodies are not accepted.",
                    "Send the bytes as they are.",
                    status=415,
                )
            return await endpoint(request)
        except (DevexError, OSError) as problem:
            error = problem if isinstance(problem, DevexError) else explain(problem, "")
            await _drain(request)
            return Json(error.body(), error.status)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return answer


def _require_writer(request: Request) -> None:
    if not viewer_of(request.scope).can_write:
        raise DevexError("read_only", "You may look at this REPL but not change it.", "Fork it.", status=403)


async def _drain(request: Request) -> None:
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(IDLE_S):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
    except (ClientDisconnect, RuntimeError, TimeoutError):
        return  # RuntimeError: it was read whole


def file_path(request: Request) -> str:
    """`files/{path}`, byte for byte: frameworks decode it as UTF-8 and lose other names. Or `files?path=`."""
    decoded: str | None = request.path_params.get("path")
    if decoded is None:
        return query_path(request, "path")
    raw = request.scope.get("raw_path", b"").partition(b"/files/")[2]
    path = _fsdecoded(raw) if unquote(raw.decode("latin-1")) == decoded else decoded
    return checked(path)


def query(request: Request, name: str, default: str | None = None) -> str:
    """A query parameter, byte for byte as `file_path`."""
    for pair in request.scope["query_string"].split(b"&"):
        key, _, value = pair.partition(b"=")
        if key.decode("latin-1") == name:
            return _fsdecoded(value.replace(b"+", b" "))
    if default is None:
        raise DevexError("bad_request", f"The parameter “{name}” is missing.", "Add it to the address.")
    return default


def query_path(request: Request, name: str, default: str | None = None) -> str:
    return checked(query(request, name, default))


def number(request: Request, name: str, default: int | None = None) -> int:
    text = query(request, name, None if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise DevexError("bad_request", f"The parameter “{name}” must be a number.", "Correct the address.")
    return int(text)


def _fsdecoded(quoted: bytes) -> str:
    return unquote_to_bytes(quoted).decode("utf-8", "surrogateescape")


def checked(path: str) -> str:
    """Plain, and without names that would mean something else to whoever decodes the address a second time."""
    for part in parse(path):
        if b"%" in part and {b".", b".."} & set(re.split(rb"[/\\]", unquote_to_bytes(part))):
            raise DevexError("bad_path", "This path is encoded twice.", "Encode it once.")
    return path


async def json_body(request: Request, limit_bytes: int) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise DevexError("too_large", f"The request holds more than {limit_bytes} bytes.", "Send less.", status=413)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise DevexError("bad_request", "The request is not a JSON object.", "Send JSON.")
    return fields


def field(fields: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = fields.get(name, default)
    if type(value) is not kind:
        raise DevexError("bad_request", f"The field “{name}” is missing or wrong.", f"Send a {kind.__name__}.")
    return value


def expectation(request: Request) -> str | None:
    """If-Match: a digest; If-None-Match: * : must not exist."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return ABSENT
    wanted = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if wanted in {"", "*"}:
        return None
    if not _DIGEST.fullmatch(wanted):
        raise DevexError("changed", "If-Match holds no digest.", "Open the file again.", status=412)
    return wanted


def disposition(name: str) -> str:
    """Always an attachment; RFC 6266 with the name as it may be shown."""
    return f"attachment; filename*=UTF-8''{quote(display(name), safe='')}"


def byte_range(header: str, size: int) -> range | None:
    """The one range asked for, None for the whole file. Raises DevexError 416 when it lies beyond the end."""
    asked = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.strip())
    if not asked or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if first:
        found = range(int(first), min(int(last) + 1, size) if last else size)
    else:
        found = range(max(size - int(last), 0), size)
    if not found:
        raise DevexError("bad_range", f"The file has only {size} bytes.", "Load it from its start.", status=416)
    return found


async def collected(request: Request) -> AsyncGenerator[bytes, None]:
    """The body in pieces of about WRITE_BYTES; when the sender goes, what had arrived comes before ClientDisconnect.

    Nothing is read ahead of the consumer, so a slow disk slows the sender.
    """
    piece = bytearray()
    async with aclosing(request.stream()) as chunks:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    chunk = await anext(chunks, None)
            except TimeoutError:
                raise DevexError("timeout", "The upload stalled.", "Continue it.", status=408, retryable=True) from None
            except ClientDisconnect:
                if piece:
                    yield bytes(piece)
                raise
            if chunk is None:
                break
            piece += chunk
            if len(piece) >= WRITE_BYTES:
                yield bytes(piece)
                piece.clear()
    if piece:
        yield bytes(piece)


class Pieces(Protocol):
    """A blocking source; `close` is called however far it was read, also when it never was."""

    def __next__(self) -> bytes: ...
    def close(self) -> None: ...


async def pulled(pieces: Pieces) -> AsyncIterator[bytes]:
    """Read in threads, one piece at a time and none ahead: the browser sets the pace."""
    while (piece := await to_thread.run_sync(next, pieces, None)) is not None:
        yield piece


class Stream(StreamingResponse):
    """Closes its source when it ends or the browser goes away."""

    def __init__(self, pieces: Pieces, status_code: int, headers: dict[str, str]) -> None:
        super().__init__(pulled(pieces), status_code, headers, "application/octet-stream")
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(self._pieces.close)
