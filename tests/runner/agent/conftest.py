"""A proxy and a real agent that has dialled it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.agent import install
from tests.runner.agent.proxy import PYTHON, Agent, Proxy


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("opt-runner")
    install(directory, PYTHON)
    return directory


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Proxy]:
    """Nobody has dialled yet."""
    proxy = Proxy(tmp_path)
    yield proxy
    proxy.close()


@pytest.fixture
def agent(installed: Path, listening: Proxy) -> Iterator[Agent]:
    agent = Agent(installed, listening.path)
    yield agent
    alive = agent.process.poll() is None
    errors = agent.stop()
    assert alive, f"the agent ended by itself: {errors}"
    assert not errors


@pytest.fixture
def proxy(listening: Proxy, agent: Agent) -> Proxy:
    """Connected, nothing open."""
    assert listening.accept().terminals == ()
    return listening
