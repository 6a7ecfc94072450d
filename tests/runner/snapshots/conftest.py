"""S3 servers, stores, and a workspace whose versions go to one, here or in a worker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.opening import StoreSpec, spec_of
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.place import Place, a_place
from tests.runner.snapshots.shelf import a_shelf
from tests.stores import Server, rclone


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path) as place:
        yield place


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    async with Workers() as workers:
        yield workers


@pytest.fixture
def snapshots(workers: Workers, tmp_path: Path) -> Snapshots:
    return Snapshots(workers, a_shelf(tmp_path))


@pytest.fixture(params=["directory", "s3"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> StoreSpec:
    """Of an empty store of either kind."""
    if request.param == "directory":
        return spec_of(tmp_path / "store")
    server: Server = request.getfixturevalue("moto_server")
    return spec_of(server.config())
