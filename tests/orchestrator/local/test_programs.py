"""Every template's program, run as a user runs it: in a sandbox, with the tools of `.ci/system-packages`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.backends.egress.rules import EgressRules
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.domain import Egress
from orchestrator.templates import Template
from tests.contracts.templates import TemplatesContract
from tests.orchestrator.local.conftest import contract, start_box
from tests.registries import configured

OUTPUT, EXITED = 17, 19  # of runner/proxy/terminals/wire


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
            async with self.box.websocket(f"/terminals/{run['terminal']}") as heard:
                while (frame := (await heard.get()).get("bytes") or b"\0")[0] != EXITED:
                    if frame[0] == OUTPUT:
                        yield frame[9:]  # behind its offset
        finally:
            await self.box.post("/stop")

    async def answers(self, port: int) -> bool:
        async with contract.client(self.box.backend.runner_app(self.box.repl_id)) as client:
            return (await client.get(f"/ports/{port}/")).status_code < 400
