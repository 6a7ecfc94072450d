"""A proxy in a pod, and the gateway's way to it, without a cluster: two uvicorns and what is between them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection

from orchestrator.backends.kubernetes import reach
from orchestrator.backends.kubernetes.forward import Forward
from runner.forwarding import wire
from runner.forwarding.keys import Incarnation
from runner.forwarding.serving import Links, bounds
from runner.time_slices import TimeSlices
from runner.viewer import Viewer

KEY = b"k" * 32
WHO = Incarnation("r1", 3, "pod-uid")
DEADLINE_S = 30.0


@asynccontextmanager
async def listening(app: ASGIApp, **options: Any) -> AsyncIterator[int]:
    """-> the port on loopback where uvicorn serves it. `options` are its own: host, port, ssl_certfile."""
    kind: dict[str, Any] = {"ws": "websockets-sansio", "ws_max_size": wire.FRAME_MOST_BYTES}
    if isinstance(app, Links):
        kind = {"ws": "websockets-sansio", **bounds()}
    config = uvicorn.Config(
        app, **{"port": 0, **kind, **options}, log_level="critical", lifespan="off", date_header=False,
        ws_per_message_deflate=False,
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
        async with asyncio.timeout(DEADLINE_S):
            while left := server.server_state.connections:  # of clients that did not go: nobody else ends them
                for connection in [*left]:
                    connection.transport.abort()
                await asyncio.sleep(0)


def certificate_in(folder: Path) -> Path:
    """Of 127.0.0.1 and localhost, signed by itself."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder / "cert.pem"


def tls(certificate: Path) -> dict[str, str]:
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(certificate.with_name("key.pem"))}


def forward_to(port: int, key: bytes = KEY, who: Incarnation = WHO) -> Forward:
    slices = TimeSlices()

    async def dial() -> ClientConnection:
        return await reach.connected(f"ws://127.0.0.1:{port}{wire.PATH}", slices, proxy=None)

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
