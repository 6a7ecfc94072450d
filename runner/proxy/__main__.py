"""`python -m runner.proxy`: the proxy's container in a pod. See `runner.proxy.pod`."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from runner.forwarding import serving as links
from runner.proxy.pod import BadPod, Pod, serving
from runner.proxy.slot import Slot
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
    whose: Pod | None = pod
    told_to_end = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, told_to_end.set)
    servers: list[_Server] = []
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:

        def serve(app: ASGIApp, port: int, **options: Any) -> None:
            servers.append(_Server(_config(app, **options)))
            tasks.create_task(servers[-1].serve([listener(port)]))

        slot = None
        if "DEVEX_SLOT" in os.environ:
            slot = await stack.enter_async_context(Slot(pod, Path(os.environ.get("DEVEX_ASSUMED", "/run/assumed"))))
            serve(slot, pod.link_port, **links.bounds())
            whose = await slot.assumed(unless=told_to_end)
        if whose is not None:
            app = await stack.enter_async_context(serving(whose))
            if app.previews is not None:
                bounds = {"timeout_keep_alive": KEEP_ALIVE_S, "ws_max_size": WEBSOCKET_MOST_BYTES}
                serve(app.previews, pod.preview_port, http=VisitorConnection, **bounds)
            if slot is not None:
                slot.serve(app)
            else:
                serve(app, pod.link_port, **links.bounds())
            await told_to_end.wait()
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
