"""`python -m runner.proxy`: the proxy's container in a pod. See `runner.proxy.pod`."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from runner.forwarding import serving as links
from runner.proxy.pod import BadPod, Pod, serving
from runner.proxy.visitors import KEEP_ALIVE_S, VisitorConnection

WEBSOCKET_MOST_BYTES: Final = 8 << 20  # one message of a browser, as at the gateway


def listener(port: int) -> socket.socket:
    """Of both families. Never with SO_REUSEPORT: a program in the pod could take its share of what is sent here."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


class _Server(uvicorn.Server):
    """Ends when it is told: before that there is a version to be saved, over links that it serves."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def main() -> None:
    pod = Pod.from_environment(os.environ)
    told = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, told.set)
    async with serving(pod) as app, asyncio.TaskGroup() as tasks:
        servers = [_Server(_config(app, **links.bounds()))]
        listeners = [listener(pod.link_port)]
        if app.previews is not None:
            bounds = {"timeout_keep_alive": KEEP_ALIVE_S, "ws_max_size": WEBSOCKET_MOST_BYTES}
            servers.append(_Server(_config(app.previews, http=VisitorConnection, **bounds)))
            listeners.append(listener(pod.preview_port))
        for server, listening in zip(servers, listeners, strict=True):
            tasks.create_task(server.serve([listening]))
        await told.wait()
        await app.save()
        for server in servers:
            server.should_exit = True


def _config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=1, ws="websockets-sansio", ws_per_message_deflate=False, **options,
    )  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    try:
        asyncio.run(main())
    except BadPod as error:
        sys.exit(f"The proxy cannot start: {error}")
