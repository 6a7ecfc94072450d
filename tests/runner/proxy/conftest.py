"""A proxy behind a real server on loopback, with a real agent that has dialled it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from runner.agent import install
from tests.runner.proxy.program import Program, listening
from tests.runner.proxy.stage import PYTHON, Stage


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the product."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def installed_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("opt-runner")
    install(directory, PYTHON)
    return directory


@pytest.fixture
async def empty_stage(tmp_path: Path, installed_agent: Path) -> AsyncIterator[Stage]:
    """No agent yet."""
    async with Stage(tmp_path, installed_agent) as stage:
        yield stage


@pytest.fixture
async def stage(empty_stage: Stage) -> Stage:
    empty_stage.start_agent()
    await empty_stage.proxy.ready()
    return empty_stage


@pytest.fixture
async def served() -> AsyncIterator[tuple[Program, int]]:
    """A program, and the port on which it listens."""
    async with listening() as served:
        yield served
