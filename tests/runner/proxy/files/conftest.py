"""The files of one REPL over real sockets."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from runner.documents.rooms import Rooms
from runner.proxy.files.routes import file_routes
from runner.workspace import Workspace
from tests.runner.proxy.files.serving import LIMITS, QUOTA, Seen, served


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "f").write_text("another REPL's")
    (tmp_path / "a").mkdir()
    with Workspace(tmp_path / "a", limit=QUOTA) as opened:
        yield opened


@pytest.fixture
def root(workspace: Workspace) -> Path:
    return workspace.root


@pytest.fixture
async def rooms(workspace: Workspace) -> AsyncIterator[Rooms]:
    async with Rooms(workspace, on_edit=lambda _: None) as rooms:
        yield rooms


@pytest.fixture
def app(workspace: Workspace, rooms: Rooms) -> Seen:
    return Seen(Starlette(routes=[Mount("/repls/x", routes=file_routes(workspace, LIMITS, rooms=rooms))]))


@pytest.fixture
async def port(app: Seen) -> AsyncIterator[int]:
    async with served(app) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/repls/x/", timeout=30) as client:
        yield client
