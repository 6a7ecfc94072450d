"""`python -m runner.proxy`: the proxy's container in a pod. See `runner.proxy.pod`."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from runner.forwarding import wire
from runner.proxy.pod import BadPod, Pod, serving

LINK_PORT: Final = 7601


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
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=1,
            ws_ping_timeout=None,  # an answer waits behind what a slow reader has not read yet
            ws="websockets-sansio", ws_max_size=wire.FRAME_MOST_BYTES, ws_per_message_deflate=False,
        )  # fmt: skip
        server = _Server(config)
        tasks.create_task(server.serve([listener(int(os.environ.get("DEVEX_LINK_PORT", LINK_PORT)))]))
        await told.wait()
        await app.save()
        server.should_exit = True


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    for library in ("httpx", "uvicorn.error"):  # the first would write signed addresses
        logging.getLogger(library).setLevel(logging.WARNING)
    try:
        asyncio.run(main())
    except BadPod as error:
        sys.exit(f"The proxy cannot start: {error}")
