"""An orchestrator on a machine in memory, under a clock that the test moves."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from orchestrator.backends.memory import Machine, MemoryBackend
from orchestrator.domain import Limits
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from orchestrator.templates import Template
from runner.errors import DevexError
from tests.orchestrator.fakes import ManualClock

MakeOrchestrator = Callable[..., AbstractAsyncContextManager[Orchestrator]]


def make_template(name: str = "python", **changes: object) -> Template:
    values: dict[str, object] = {
        "name": name,
        "title": name.title(),
        "description": "",
        "language": name,
        "open_file": "main.py",
        "run_command": "python3 main.py",
        "port": None,
        "needs": (),
        "install_hint": "",
        "environment": {"MODE": "test"},
        "expected_output": (),
        "installs": False,
        "files": {"main.py": b"print('hello')\n"},
    }
    return Template(**(values | changes))  # type: ignore[arg-type]


async def refusal(work: object) -> str:
    """The code that a call is refused with."""
    with pytest.raises(DevexError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.message.endswith(".")
    assert caught.value.action.endswith(".")
    return caught.value.code


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def records() -> MemoryRecords:
    return MemoryRecords()


@pytest.fixture
def serve(clock: ManualClock, machine: Machine, records: MemoryRecords) -> MakeOrchestrator:
    """`serve(BackendClass, **limits)`: one run of the server; the machine and the records outlive it."""

    @asynccontextmanager
    async def serving(kind: type[MemoryBackend] = MemoryBackend, **limits: object) -> AsyncIterator[Orchestrator]:
        orchestrator = Orchestrator(
            backend=kind(machine),
            records=records,
            templates={"python": make_template()},
            clock=clock,
            limits=Limits(**limits),  # type: ignore[arg-type]
        )
        async with orchestrator:
            yield orchestrator

    return serving


@pytest.fixture
async def orchestrator(serve: MakeOrchestrator) -> AsyncIterator[Orchestrator]:
    async with serve() as orchestrator:
        yield orchestrator
