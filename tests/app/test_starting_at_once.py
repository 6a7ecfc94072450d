"""Several servers begin with one empty database at one moment."""

import asyncio
import os
import sys
from pathlib import Path

import asyncpg

from tests import postgres

OPEN = """
import asyncio, sys
from app.storage import database

async def main():
    async with database.opened(sys.argv[1]):
        pass

asyncio.run(main())
"""


async def test_one_of_them_migrates_and_the_others_wait(postgres_folder: Path, tmp_path: Path) -> None:
    admin = await asyncpg.connect(postgres.url(postgres_folder, "postgres"))
    await admin.execute("CREATE DATABASE new")
    await admin.close()
    url = postgres.url(postgres_folder, "new").replace("postgres:", "asyncpg:", 1)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    servers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", OPEN, url, env=environment, cwd=tmp_path)
        for _ in range(3)
    ]
    assert await asyncio.gather(*(server.wait() for server in servers)) == [0, 0, 0]
