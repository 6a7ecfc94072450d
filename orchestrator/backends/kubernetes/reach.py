"""The ways to the proxies in pods: by their address, by an ingress controller, through the API server.

What answers need not be believed: both ends of a link prove that they hold its key. TLS is for what lies between.
"""

import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect

from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.cluster import Ingress
from orchestrator.backends.kubernetes.forward import Dial
from orchestrator.backends.kubernetes.manifests import LINK_PORT, name_in
from orchestrator.backends.kubernetes.metered import MeteredConnection
from orchestrator.backends.kubernetes.observe import Object
from runner.forwarding import wire
from runner.time_slices import TimeSlices

WAITING_MOST: Final = 2  # messages of a link that nobody has taken yet: a program's may have 8 MiB each
PING_S: Final = 20.0  # what carries a link takes one that is silent for a minute for dead

DialOf = Callable[[Object], Dial]
"""How a pod that has an address is dialled."""


def by_address() -> DialOf:
    slices = TimeSlices()

    def dial_of(pod: Object) -> Dial:
        address = str(pod["status"]["podIP"])
        host = f"[{address}]" if ":" in address else address

        async def dial() -> ClientConnection:
            return await connected(f"ws://{host}:{LINK_PORT}{wire.PATH}", slices, proxy=None)

        return dial

    return dial_of


def by_ingress(way: Ingress) -> DialOf:
    """Raises OSError when its `ca_file` cannot be read."""
    slices = TimeSlices()
    trusted = ssl.create_default_context(cafile=way.ca_file or None) if way.link_url.startswith("wss:") else None

    def dial_of(pod: Object) -> Dial:
        url = way.link_url.format(name=name_in(pod["metadata"]["labels"])) + wire.PATH

        async def dial() -> ClientConnection:
            return await connected(url, slices, ssl=trusted)

        return dial

    return dial_of


def through(api: Api) -> DialOf:
    slices = TimeSlices()

    def dial_of(pod: Object) -> Dial:
        name = str(pod["metadata"]["name"])

        async def dial() -> ClientConnection:
            way = await api.way_to_pod(name, LINK_PORT, wire.PATH)
            options: dict[str, Any] = {"server_hostname": way.tls_name} if way.tls_name else {}
            return await connected(
                way.url, slices, additional_headers=way.headers, ssl=way.tls, proxy=way.proxy or True, **options
            )

        return dial

    return dial_of


class _Straight(connect):
    """What answers may be a program of the pod's: it does not say where else the gateway, with its rights, shall go."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def connected(url: str, slices: TimeSlices, **options: Any) -> ClientConnection:
    """For a greeting; who has proven who it is may send more, see `forward`.

    Without a deadline for answers to pings: they wait behind what a slow reader has not read yet.
    """
    create: Any = partial(MeteredConnection, slices=slices)  # no class, but made like one
    return await _Straight(
        url,
        create_connection=create,
        compression=None,
        max_size=wire.GREETING_MOST_BYTES,
        max_queue=WAITING_MOST,
        ping_interval=PING_S,
        ping_timeout=None,
        user_agent_header=None,
        **options,
    )
