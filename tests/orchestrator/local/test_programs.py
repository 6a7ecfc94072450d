"""Every template's program, run as a user runs it: in a sandbox, with the tools of `.ci/system-packages`."""

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.types import Message

from orchestrator.backends.base import Egress
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.backends.local.egress_rules import EgressRules
from orchestrator.templates import Template
from tests.contracts.templates import TemplatesContract
from tests.orchestrator.local.conftest import Box, contract, start_box
from tests.registries import configured

OUTPUT, EXITED, ACK = 17, 19, 3  # of runner/proxy/terminal_wire


class TestInASandbox(TemplatesContract):
    @pytest.fixture
    def rules(self, request: pytest.FixtureRequest) -> EgressRules:
        installs = request.node.callspec.params["template"].installs
        return EgressRules(exceptions=configured().hosts if installs else frozenset())

    @pytest.fixture(autouse=True)
    async def _box(self, template: Template, backend: LocalBackend, tmp_path: Path) -> None:
        environment = {"HOST": "0.0.0.0", "PORT": str(template.port or 3000), **template.environment}
        files = dict(template.files)
        if template.installs:
            environment |= configured().environment
            files |= configured().files
        self.box = await start_box(
            backend,
            tmp_path,
            files=files,
            environment=environment,
            run_command=template.run_command,
            egress=Egress.ALLOWLIST if template.installs else Egress.NONE,
        )

    async def output(self, template: Template) -> AsyncIterator[bytes]:
        run = await self.box.post("/run")
        try:
            async for piece in printed(self.box, run["terminal"]):
                yield piece
        finally:
            await self.box.post("/stop")

    async def answers(self, port: int) -> bool:
        async with contract.client(self.box.backend.runner_app(self.box.repl_id)) as client:
            return (await client.get(f"/ports/{port}/")).status_code < 400


async def printed(box: Box, terminal: str) -> AsyncIterator[bytes]:
    """What a terminal shows, as a browser gets it, until its program ends."""
    app = box.backend.runner_app(box.repl_id)
    assert app
    heard: asyncio.Queue[Message] = asyncio.Queue()
    sent: asyncio.Queue[Message] = asyncio.Queue()
    sent.put_nowait({"type": "websocket.connect"})
    path = f"/terminals/{terminal}"
    scope = {"type": "websocket", "path": path, "query_string": b"", "headers": [], "devex.viewer": contract.viewer()}
    attached = asyncio.create_task(app(scope, sent.get, heard.put))
    try:
        while (message := await heard.get())["type"] != "websocket.close":
            frame = message.get("bytes") or b"\0"
            if frame[0] == EXITED:
                return
            if frame[0] == OUTPUT:
                (offset,) = struct.unpack_from(">Q", frame, 1)
                sent.put_nowait(
                    {"type": "websocket.receive", "bytes": struct.pack(">BQ", ACK, offset + len(frame) - 9)}
                )
                yield frame[9:]
    finally:
        sent.put_nowait({"type": "websocket.disconnect"})
        await attached
