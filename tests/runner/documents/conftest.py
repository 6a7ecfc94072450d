from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from tab import rooms_over

from runner.documents.rooms import Rooms
from runner.workspace import Workspace


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
def receipts() -> list[tuple[str, str, datetime]]:
    return []


@pytest.fixture
async def rooms(workspace: Workspace, receipts: list[tuple[str, str, datetime]]) -> AsyncIterator[Rooms]:
    async with rooms_over(workspace, receipts) as rooms:
        yield rooms
