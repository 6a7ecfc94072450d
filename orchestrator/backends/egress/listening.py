"""The way out of a cluster's REPLs: one server on TCP, to which their NetworkPolicies lead and nowhere else.

Each address that connects is a pod, and has limits of its own: a scan by one of them stops nobody else. When there are
as many connections as may be, whoever has the most gives way to whoever has fewer.
"""

import asyncio
from typing import Final, Self

from orchestrator.backends.egress.proxy import HEAD_BYTES, EgressProxy, Resolve
from orchestrator.backends.egress.rules import EgressRules
from orchestrator.domain import Egress

PODS_MOST: Final = 4096  # known at once
CONNECTIONS_MOST: Final = 1024  # of all pods, a quarter of a MiB each at the most: the memory it is given


class EgressServer:
    """`async with`. What `rules` allow is let out; `port` 0 takes a free one."""

    def __init__(self, host: str, port: int, rules: EgressRules, resolve: Resolve) -> None:
        self._host = host
        self._port = port
        self._rules = rules
        self._resolve = resolve
        self._pods: dict[str, EgressProxy] = {}  # by address, whoever connected last at the end
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=HEAD_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for pod in self._pods.values():
            await pod.close()
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = writer.get_extra_info("peername")[0]
        pod = self._pods.pop(address, None) or EgressProxy(Egress.ALLOWLIST, self._rules, self._resolve, name=address)
        self._pods[address] = pod
        if len(self._pods) > PODS_MOST:
            idle = next((one for one, proxy in self._pods.items() if not proxy.connections), None)
            if idle is None or idle == address:
                del self._pods[address]
                writer.transport.abort()
                return
            del self._pods[idle]
        if sum(one.connections for one in self._pods.values()) >= CONNECTIONS_MOST:
            greediest = max(self._pods.values(), key=lambda one: one.connections)
            if greediest.connections <= pod.connections + 1:
                writer.transport.abort()
                return
            greediest.cut_oldest()
        pod.accept(reader, writer)
