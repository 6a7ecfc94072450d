"""A sandbox's way out: a unix socket that only this sandbox sees."""

import asyncio
from pathlib import Path
from typing import Self

from orchestrator.backends.egress.proxy import HEAD_BYTES, EgressProxy
from runner.peer import peer_uid


class EgressSocket:
    """`async with`. Serves `path`, to programs of `uid` only."""

    def __init__(self, path: Path, uid: int, proxy: EgressProxy) -> None:
        self._path = path
        self._uid = uid
        self._proxy = proxy
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._accept, str(self._path), limit=HEAD_BYTES)
        self._path.chmod(0o666)  # the sandbox's uid differs; who dials is checked by its credentials
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        await self._proxy.close()
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if peer_uid(writer) == self._uid:
            self._proxy.accept(reader, writer)
        else:
            writer.transport.abort()
