"""A proxy in a pod, and the gateway's way to it, without a cluster: two uvicorns and what is between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect

from orchestrator.backends.kubernetes.forward import Forward
from runner.forwarding import wire
from runner.forwarding.keys import Incarnation
from runner.forwarding.serving import Links
from runner.proxy.viewer import Viewer

KEY = b"k" * 32
WHO = Incarnation("r1", 3, "pod-uid")
DEADLINE_S = 30.0


@asynccontextmanager
async def listening(app: ASGIApp, **options: Any) -> AsyncIterator[int]:
    """-> the port on loopback where uvicorn serves it. `options` are its own: host, port, ssl_certfile."""
    config = uvicorn.Config(
        app, **{"port": 0, **options}, log_level="critical", lifespan="off", date_header=False,
        ws="websockets-sansio", ws_max_size=wire.FRAME_MOST_BYTES, ws_per_message_deflate=False,
    )  # fmt: skip
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE_S):
        while not server.started:
            await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await serving


def forward_to(port: int, key: bytes = KEY, who: Incarnation = WHO) -> Forward:
    async def dial() -> ClientConnection:
        return await connect(
            f"ws://127.0.0.1:{port}{wire.PATH}", compression=None, max_size=wire.FRAME_MOST_BYTES, proxy=None
        )

    return Forward(dial, key, who)


def as_ada(forward: Forward) -> ASGIApp:
    """For her, who may write."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await forward({**scope, "devex.viewer": Viewer("u1", "Ada", can_write=True)}, receive, send)

    return served


@asynccontextmanager
async def forwarded(app: ASGIApp) -> AsyncIterator[int]:
    """-> the port where a browser gets what `app` serves in its pod."""
    async with listening(Links(app, KEY, WHO)) as pod:
        forward = forward_to(pod)
        try:
            async with listening(forward) as port:
                yield port
        finally:
            forward.close()
