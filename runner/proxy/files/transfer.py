"""How content comes in and goes out over HTTP: conditions, ranges, headers, bytes at the pace of the slower side."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Final, Protocol
from urllib.parse import quote

from anyio import CancelScope, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from runner.errors import DevexError
from runner.proxy.http import IDLE_S
from runner.workspace.drafts import ABSENT
from runner.workspace.paths import display

WRITE_BYTES: Final = 1 << 20  # collected before one hop to a thread
# User content is never a page of this origin, whatever it calls itself.
SAFE_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "private, no-cache",
}
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


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
