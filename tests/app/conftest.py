import itertools
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from app.storage import database
from tests import postgres
from tests.app.running_site import Site, site_of

numbers = itertools.count(1)
TEMPLATE = "migrated"


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    with postgres.running() as folder:
        yield folder


async def _make_template(folder: Path) -> None:
    """Migrated once; databases of tests are copies."""
    await _execute(folder, f"CREATE DATABASE {TEMPLATE}")
    async with database.opened(database.url_of(postgres.url(folder, TEMPLATE), folder)):
        pass


async def _execute(folder: Path, statement: str) -> None:
    connection = await asyncpg.connect(host=str(folder), user=postgres.ROLE, database="postgres")
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def new_postgres_database(folder: Path) -> str:
    name = f"devex_{os.getpid()}_{next(numbers)}"
    copying = f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"
    try:
        await _execute(folder, copying)
    except asyncpg.InvalidCatalogNameError:
        await _make_template(folder)
        await _execute(folder, copying)
    return postgres.url(folder, name)


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest) -> str:
    """The setting: of an empty database of either kind."""
    if request.param == "sqlite":
        return ""
    return await new_postgres_database(request.getfixturevalue("postgres_folder"))


@pytest.fixture
async def opened_database(database_url: str, tmp_path: Path) -> AsyncIterator[str]:
    """Migrated and open."""
    async with database.opened(database.url_of(database_url, tmp_path)):
        yield database_url


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(tmp_path) as running:
        yield running
