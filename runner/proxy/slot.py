"""A pod that was started before anybody wanted it: it waits for the control plane to say whose it is, once.

Until then it knows a key of its own and nothing of any REPL. What it is told lies in memory that the proxy alone sees:
one that is started again in the same pod is what it was.
"""

import asyncio
import base64
import binascii
import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.errors import DevexError
from runner.forwarding.keys import Incarnation
from runner.forwarding.serving import Links
from runner.proxy import http
from runner.proxy.pod import AGENT_SOCKET, Pod, at_link_port

ASSUME: Final = "/assume"
ASSUMED: Final = "assumed.json"  # what it was told
TOLD_BYTES: Final = 128 << 10  # a key, and what its programs start with: environments have some KiB


class Taken(DevexError):
    """It is somebody's, and never becomes anybody else's."""

    def __init__(self) -> None:
        super().__init__("taken", "This pod is another REPL's.", "Take another one.", status=409)


class Slot:
    """`async with`. The ASGI application of the link's port. Before `serve` it has /health for the kubelet, and for who
    proves to hold the slot's key `POST /assume` {repl, epoch, key, spec}, the key in base64; that is answered when the
    pod is served as what it was told.
    """

    def __init__(self, pod: Pod, kept: Path) -> None:
        """`pod` is of the slot's own incarnation and key; what it is told is kept in the folder `kept`."""
        self._pod = pod
        self._whose: Pod | None = None
        self._is_assumed = asyncio.Event()
        self._kept = kept / ASSUMED
        self._told: dict[str, Any] | None = None
        self._app: ASGIApp | None = None
        self._is_served = asyncio.Event()
        routes = http.Routes([http.Endpoint("POST", ASSUME, self._assume, writes=True)])
        self._links = Links(routes, pod.key, pod.incarnation)
        self._agents = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    async def __aenter__(self) -> Self:
        """The agent finds a socket, and waits there: one that found none would look again ever more rarely."""
        path = self._pod.sockets / AGENT_SOCKET
        path.unlink(missing_ok=True)
        self._agents.bind(str(path))
        self._agents.listen()
        if self._kept.exists():
            self._become(json.loads(self._kept.read_bytes()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._agents.close()

    async def assumed(self, *, unless: asyncio.Event) -> Pod | None:
        """-> what it is from now on; None when the other thing comes first."""
        waiting = [asyncio.create_task(event.wait()) for event in (self._is_assumed, unless)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return self._whose

    def serve(self, app: ASGIApp) -> None:
        """From now on it is that."""
        self._app = app
        self._is_served.set()
        self._agents.close()  # the agent dials again within milliseconds, and finds the proxy's

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is not None:
            await self._app(scope, receive, send)
        else:
            await at_link_port(scope, receive, send, links=self._links, agent=False)

    async def _assume(self, request: Request) -> Response:
        told = await http.json_body(request, TOLD_BYTES)
        if self._told is None:
            self._become(told)
        elif told != self._told:
            raise Taken
        await self._is_served.wait()
        return http.Json({})

    def _become(self, told: dict[str, Any]) -> None:
        """Raises DevexError for what is no identity."""
        repl_id, epoch = http.field(told, "repl", str), http.field(told, "epoch", int)
        key, spec = http.field(told, "key", str), http.field(told, "spec", dict)
        try:
            secret = base64.b64decode(key, validate=True)
        except binascii.Error:
            raise DevexError("bad_request", "The key is not base64.", "Send it in base64.") from None
        _keep(self._kept, json.dumps(told).encode())
        self._told = told
        of = Incarnation(repl_id, epoch, self._pod.incarnation.instance)
        self._whose = replace(self._pod, incarnation=of, key=secret, spec=spec)
        self._is_assumed.set()


def _keep(file: Path, content: bytes) -> None:
    """All of it or nothing."""
    beside = file.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as writing:
        writing.write(content)
    beside.rename(file)
