"""The proxy as a container of its own, beside the one that runs the programs: what of a pod it needs to know."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.types import Receive, Scope, Send

from runner.errors import DevexError
from runner.forwarding import wire
from runner.forwarding.keys import Incarnation
from runner.forwarding.serving import Links
from runner.previews.hosts import PreviewDomain
from runner.previews.tickets import preview_key
from runner.proxy import control, http
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.proxy.control import Control, Unclaimed
from runner.proxy.previews import Previewed, PreviewPort
from runner.snapshots.bringing_back import BEFORE_STOP
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.worker.workers import Workers
from runner.viewer import CONTROL_PLANE, viewer_of
from runner.workspace import Usage

LINK_PORT: Final = 7601
PREVIEW_PORT: Final = 7602
HEALTH: Final = "/health"
LAST_VERSION_S: Final = 100.0  # of the 120 s that the kubelet gives
BODY_BYTES: Final = 4 << 10  # of what the control plane asks
AGENT_SOCKET: Final = "agent.sock"  # in the folder of sockets
RECORDS: Final = "records"  # there too
RESTORED: Final = "restored"  # in the cache's folder, beside the workspace that it tells of


log = logging.getLogger(__name__)


class BadPod(Exception):
    """It was started without what it needs; the sentence is for the container's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """`spec` is the control plane's, as in the Secret: see `orchestrator.backends.kubernetes.manifests`. Of a slot (see
    `runner.proxy.slot`) `incarnation` and `key` are its own, and `spec` is empty.
    """

    incarnation: Incarnation
    key: bytes = field(repr=False)
    store_ca: str | None  # a file
    spec: Mapping[str, Any] = field(repr=False)
    workspace: Path
    sockets: Path
    cache: Path
    link_port: int
    preview_port: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Pod":
        """Raises BadPod."""
        try:
            secret = Path(environment.get("DEVEX_KEY_DIR", "/run/key"))
            store_ca, slot = secret / "store_ca.pem", environment.get("DEVEX_SLOT")
            of = (slot, 0) if slot else (environment["DEVEX_REPL_ID"], int(environment["DEVEX_EPOCH"]))
            return cls(
                incarnation=Incarnation(*of, environment["DEVEX_POD_UID"]),
                key=(secret / "key").read_bytes(),
                store_ca=str(store_ca) if store_ca.exists() else None,
                spec={} if slot else json.loads((secret / "spec.json").read_bytes()),
                workspace=Path(environment.get("DEVEX_WORKSPACE", "/workspace")),
                sockets=Path(environment.get("DEVEX_SOCKETS", "/run/devex")),
                cache=Path(environment.get("DEVEX_CACHE", "/var/cache/devex")),
                link_port=int(environment.get("DEVEX_LINK_PORT", LINK_PORT)),
                preview_port=int(environment.get("DEVEX_PREVIEW_PORT", PREVIEW_PORT)),
            )
        except KeyError as error:
            raise BadPod(f"The variable {error.args[0]} is not set.") from error
        except (OSError, ValueError) as error:
            raise BadPod(f"The pod's secret or a variable cannot be read: {error}.") from error


class PodProxy:
    """The ASGI application of the link's port. `previews` is that of the preview port, where an Ingress leads to it."""

    def __init__(self, pod: Pod, proxy: RunnerProxy, control: Control) -> None:
        previewed = _previewed(pod)
        self.previews = PreviewPort(previewed, proxy, control) if previewed else None
        self._proxy = proxy
        self._control = control
        self._links = Links(self._served, pod.key, pod.incarnation)
        self._commands = http.Routes(
            [
                http.Endpoint("POST", "/save", self._save, writes=True),
                http.Endpoint("POST", "/flush", self._flush, writes=True),
            ]
        )

    async def save(self) -> None:
        """The programs have ended: by a drain, an eviction, or a stop of which the control plane knows.

        To be awaited while links are served: what is stored is signed by who is at the other end of one.
        """
        if not self._control.claimed.is_set():
            return  # it has served nobody
        try:
            async with asyncio.timeout(LAST_VERSION_S):
                await self._proxy.quiesce()
                if not self._proxy.is_saved:
                    await self._proxy.save(BEFORE_STOP)
        except (DevexError, TimeoutError):
            log.exception("the last changes are in no version")

    async def _save(self, request: Request) -> Response:
        """{message} -> {version}, of what is in editors and on the disk now."""
        message = http.field(await http.json_body(request, BODY_BYTES), "message", str)
        stored = await self._proxy.save(message)
        return http.Json({"version": stored.version})

    async def _flush(self, _: Request) -> Response:
        await self._proxy.quiesce()
        return http.Json({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await at_link_port(scope, receive, send, links=self._links, agent=self._proxy.agent_connected)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        """To whoever has proven to hold the key."""
        if scope["type"] == "websocket" and scope["path"] == control.PATH:
            await self._control(scope, receive, send)
        elif viewer_of(scope) == CONTROL_PLANE:
            await self._commands(scope, receive, send)
        elif self._control.claimed.is_set():
            await self._proxy(scope, receive, send)
        elif scope["type"] == "http":
            error = Unclaimed()
            await http.Json(error.body(), error.status)(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": WS_1013_TRY_AGAIN_LATER})


async def at_link_port(scope: Scope, receive: Receive, send: Send, *, links: Links, agent: bool) -> None:
    """/health for the kubelet, `links` for the gateway, nothing for others."""
    if scope["type"] == "websocket" and scope["path"] == wire.PATH:
        await links(scope, receive, send)
    elif scope["type"] == "http" and scope["path"] == HEALTH:
        await http.Json({"agent": agent})(scope, receive, send)
    elif scope["type"] == "http":
        await http.Json({}, 404)(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close"})


@asynccontextmanager
async def serving(pod: Pod) -> AsyncIterator[PodProxy]:
    """The application, and all that it needs."""
    control, spec = Control(), pod.spec
    async with Workers(answer=control.ask) as workers:
        config = ProxyConfig(
            repl_id=pod.incarnation.repl_id,
            workspace=pod.workspace,
            socket_path=pod.sockets / AGENT_SOCKET,
            agent_uid=os.getuid(),
            environment=spec["environment"],
            cwd=str(pod.workspace),  # both containers see it at one place
            run_command=spec["run_command"],
            quota_bytes=spec["size"]["disk_bytes"],
            quota_entries=spec["size"]["disk_entries"],
            autosave_s=spec["autosave_s"],
            own_ports=frozenset((pod.link_port, pod.preview_port)),
            records=pod.cache / RECORDS,
            restored=pod.cache / RESTORED,
        )
        snapshots = Snapshots(workers, _shelf(pod))
        async with RunnerProxy(config, on_activity=control.active, on_agent=control.show, snapshots=snapshots) as proxy:
            served = PodProxy(pod, proxy, control)
            watching = asyncio.create_task(served.previews.watch(), name="sessions") if served.previews else None
            try:
                yield served
            finally:
                if watching is not None:
                    watching.cancel()
                    await asyncio.wait([watching])


def _previewed(pod: Pod) -> Previewed | None:
    if (told := pod.spec.get("previews")) is None:
        return None
    return Previewed(
        slug=told["slug"],
        domain=PreviewDomain(told["scheme"], told["authority"]),
        origin=told["origin"],
        key=preview_key(pod.key, told["slug"]),
    )


def _shelf(pod: Pod) -> Shelf:
    spec = pod.spec
    return Shelf(
        store={"signed": {"ca_file": pod.store_ca}},
        prefix=pod.incarnation.repl_id,
        workspace=pod.workspace,
        owner=None,
        limit=Usage(spec["size"]["disk_bytes"], spec["size"]["disk_entries"]),
        cache=pod.cache / "cache.db",
        epoch=pod.incarnation.epoch,
    )
