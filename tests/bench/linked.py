"""`python -m tests.bench.linked pod` and `… gateway PORT`: the two ends of links, as processes of their own.

Each prints its port. The pod serves `/echo` and `/bytes`, the gateway the same by links to it.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from runner.forwarding.serving import Links
from tests.orchestrator.kubernetes.links import KEY, WHO, as_ada, forward_to, listening

PIECE = bytes(64 << 10)  # as much as a file's is
PIECES = 4_000


async def _echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_bytes(await socket.receive_bytes())
    except WebSocketDisconnect:
        pass


async def _bytes(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(PIECES):
            yield PIECE

    return StreamingResponse(pieces())


def _pod() -> ASGIApp:
    app = Starlette(routes=[WebSocketRoute("/echo", _echo), Route("/bytes", _bytes)])
    links = Links(app, KEY, WHO)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        """By a link, or as it is: what is measured beside."""
        await (app if scope["path"] in ("/echo", "/bytes") else links)(scope, receive, send)

    return served


async def _serve(app: ASGIApp) -> None:
    async with listening(app) as port:
        print(port, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(_pod() if sys.argv[1] == "pod" else as_ada(forward_to(int(sys.argv[2])))))
