from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runner.documents.rooms import Rooms
from runner.workspace import Workspace
from tests.runner.documents.tab import rooms_over


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(root: Path) -> Iterator[Workspace]:
    with Workspace(root) as workspace:
        yield workspace


@pytest.fixture
async def rooms(workspace: Workspace) -> AsyncIterator[Rooms]:
    async with rooms_over(workspace) as rooms:
        yield rooms
