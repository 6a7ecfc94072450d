"""A proxy behind a real server on loopback, with a real agent that has dialled it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runner.agent import install
from tests.runner.proxy.stage import PYTHON, Stage


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
