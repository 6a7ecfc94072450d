"""Real sandboxes, and the ways tests look into them."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message

from orchestrator.backends.egress.rules import EgressRules
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.backends.local.wire import List
from orchestrator.domain import Observation, SandboxPhase
from tests.contracts.backend import BackendContract, make_spec, wait_until

EXEC_S = 60
GRACE_S = 60  # a server that is killed leaves its launcher no longer
HELLO: Mapping[str, bytes] = {"hello.txt": b"hello"}
contract = BackendContract()


@dataclass
class Box:
    """A running sandbox."""

    backend: LocalBackend
    repl_id: str
    workspace: Path

    async def post(self, route: str, **fields: Any) -> Any:
        async with contract.client(self.backend.runner_app(self.repl_id)) as client:
            answer = await client.post(route, json=fields, timeout=httpx.Timeout(EXEC_S * 2))
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def get(self, path: str) -> Any:
        async with contract.client(self.backend.runner_app(self.repl_id)) as client:
            return (await client.get(path)).json()

    @asynccontextmanager
    async def websocket(self, path: str) -> AsyncIterator[asyncio.Queue[Message]]:
        """What a browser gets there, as ASGI messages."""
        app = self.backend.runner_app(self.repl_id)
        assert app
        heard: asyncio.Queue[Message] = asyncio.Queue()
        said: asyncio.Queue[Message] = asyncio.Queue()
        said.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": []}
        attached = asyncio.ensure_future(app({**scope, "devex.viewer": contract.viewer()}, said.get, heard.put))
        try:
            yield heard
        finally:
            said.put_nowait({"type": "websocket.disconnect"})
            await attached

    async def run(self, command: str) -> tuple[int, str]:
        """-> (exit code, output) of a shell command inside."""
        answer = await self.post("/exec", command=command, timeout_s=EXEC_S)
        return answer["exit_code"], answer["output"].replace("\r\n", "\n")

    async def python(self, source: str) -> str:
        """-> what a Python program inside prints."""
        (self.workspace / "program.py").write_text(source)
        code, output = await self.run("python3 program.py")
        assert code == 0, output
        return output.strip()

    async def first_pid(self) -> int:
        """The sandbox's first process, as the host counts."""
        assert self.backend._launcher
        listing = await self.backend._launcher.ask(List())
        return next(found.pid for found in listing if found.spec.repl_id == self.repl_id)

    async def until(self, wanted: Callable[[Observation | None], bool]) -> Observation | None:
        return await wait_until(self.backend, self.repl_id, wanted)


StartBox = Callable[..., Awaitable[Box]]


async def start_box(
    backend: LocalBackend,
    data: Path,
    repl_id: str = "repl1",
    files: Mapping[str, bytes] = HELLO,
    **changes: Any,
) -> Box:
    await backend.seed(repl_id, files, copy_of=None)
    await backend.ensure(make_spec(repl_id, **changes))
    box = Box(backend, repl_id, data / "workspaces" / repl_id)
    seen = await box.until(lambda seen: seen is not None and seen.phase is not SandboxPhase.STARTING)
    assert seen is not None
    assert seen.phase is SandboxPhase.RUNNING, seen
    return box


@pytest.fixture
def rules() -> EgressRules:
    """Tests that need other rules override this."""
    return EgressRules()


@pytest.fixture
async def backend(tmp_path: Path, rules: EgressRules) -> AsyncIterator[LocalBackend]:
    async with LocalBackend(tmp_path, grace_s=GRACE_S, egress=rules, keep_on_exit=False) as backend:
        yield backend


@pytest.fixture
def start(backend: LocalBackend, tmp_path: Path) -> StartBox:
    async def start(repl_id: str = "repl1", **changes: Any) -> Box:
        return await start_box(backend, tmp_path, repl_id, **changes)

    return start


@pytest.fixture
async def box(start: StartBox) -> Box:
    return await start()


async def until_gone(pid: int, deadline_s: float = 10.0) -> None:
    """Until this process, of whichever parent, has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(deadline_s):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
