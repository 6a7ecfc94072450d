"""The database: read-only, corrupt, locked by a password, gone; at the start and while the server runs."""

import json
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests import postgres
from tests.e2e.serving import Served, serving
from tests.faults.browser import Browser, browsing, refusal
from tests.faults.server import PASSWORD, devex, mounted, set_up, signed_up

pytestmark = pytest.mark.xdist_group("faults")

DATABASE_PASSWORD = "a database password"
FILE = "devex.sqlite3"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One that holds an invitation."""
    code, said, _ = devex(tmp_path, "invite")
    assert (code, "/sign-up?invite=" in said) == (0, True)
    return tmp_path / "data" / FILE


def invitations(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM links").fetchone()[0])
    finally:
        connection.close()


def test_a_read_only_database(tmp_path: Path, database: Path) -> None:
    """Its folder can be written: root, too, is kept out by a mount that nobody else sees."""
    mount = f"mount --bind {database} {database}; mount -o remount,ro,bind {database}"
    before = database.read_bytes()
    code, _, said = devex(tmp_path, "serve", within=mounted(mount))
    assert code == 1
    assert said == f"The database {database} cannot be written. Let the user who runs DEVEX write it and its folder.\n"
    assert database.read_bytes() == before
    assert devex(tmp_path, "invite")[0] == 0
    assert invitations(database) == 2


def test_a_corrupt_database(tmp_path: Path, database: Path) -> None:
    """One page in the middle; a backup in its place is all that is needed."""
    backup = database.with_suffix(".backup")
    shutil.copyfile(database, backup)
    with database.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(os.urandom(4096))
    damaged = database.read_bytes()
    code, _, said = devex(tmp_path, "serve")
    assert code == 1
    assert said == f"The database {database} is damaged. Put a backup in its place, or move it away to begin anew.\n"
    assert database.read_bytes() == damaged
    backup.replace(database)
    assert devex(tmp_path, "migrate")[0] == 0
    assert invitations(database) == 1


async def test_a_database_that_becomes_corrupt(tmp_path: Path) -> None:
    """What does not need it goes on, and what was typed is on disk."""
    with serving(sign_up="open") as server:
        browser = Browser(server.url, signed_up(server, "ada"))
        async with browser.http:
            repl = await browser.create()
            async with repl.shell() as terminal, repl.tab("kept.txt"):
                for path in server.data_dir.glob(f"{FILE}*"):
                    path.write_bytes(os.urandom(path.stat().st_size))
                refusal(await browser.http.get("/healthz"), 503)
                refusal(await browser.http.get("/api/repls"), 503)
                refusal(await browser.refused_socket(repl.at("events")), 503)
                await terminal.type("echo wri''tten > kept.txt; cat kept.txt\n")
                await terminal.until("written")
                assert (server.data_dir / "workspaces" / repl.id / "kept.txt").read_text() == "written\n"


@pytest.fixture(scope="module")
def postgres_folder() -> Iterator[Path]:
    with postgres.running(DATABASE_PASSWORD) as folder:
        yield folder


def test_a_wrong_password_for_postgresql(tmp_path: Path, postgres_folder: Path) -> None:
    url = postgres.url(postgres_folder, "postgres", "guessed")
    code, _, said = devex(tmp_path, "serve", database_url=url)
    assert code == 1
    assert said == (
        "The PostgreSQL database does not answer as it should: password authentication failed for user "
        f'"{postgres.ROLE}". Check DEVEX_DATABASE_URL and that the server runs.\n'
    )
    assert "guessed" not in said


def test_no_such_database_in_postgresql(tmp_path: Path, postgres_folder: Path) -> None:
    url = postgres.url(postgres_folder, "nosuch", DATABASE_PASSWORD)
    code, _, said = devex(tmp_path, "migrate", database_url=url)
    assert (code, "database nosuch. Check DEVEX_DATABASE_URL" in said) == (1, True)


@pytest.fixture(scope="module")
def on_postgresql(postgres_folder: Path) -> Iterator[Served]:
    with serving(sign_up="open", database_url=postgres.url(postgres_folder, "postgres", DATABASE_PASSWORD)) as server:
        yield server


@pytest.fixture(scope="module")
def administrator(on_postgresql: Served) -> str:
    """-> the cookie."""
    return set_up(on_postgresql, "root")


@pytest.fixture
async def root(on_postgresql: Served, administrator: str) -> AsyncIterator[Browser]:
    async with browsing(on_postgresql.url, administrator) as browser:
        yield browser


@pytest.mark.parametrize("strange", ["x" * 33, "x" * 5000, "a%00b", "%F0%9F%98%80", "';--"])
async def test_texts_that_the_database_refuses_to_look_for(root: Browser, strange: str) -> None:
    refusal(await root.http.patch(f"/api/users/{strange}", json={"disabled": True}), 404)
    refusal(await root.http.get(f"/api/repls/{strange}"), 404)
    assert (await root.http.delete(f"/api/account/sessions/{strange}")).status_code == 204


@pytest.mark.parametrize("strange", ["a\0b", "\ud800", "x" * 5000])
async def test_texts_that_the_database_refuses_to_keep(root: Browser, strange: str) -> None:
    async def post(path: str, **given: object) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return await root.http.post(path, content=json.dumps(given), headers=headers)

    for answer in (
        await post("/api/repls", name="REPL", template="bash", request_id=strange),
        await post("/api/repls", name=strange, template="bash"),
        await post("/api/repls", name="REPL", template=strange),
        await post("/api/users", name=strange, password=PASSWORD),
        await post("/api/session", name="root", password=strange),
        await post("/api/session", name=strange, password=PASSWORD),
        await post("/api/setup", name="eve", password=PASSWORD, token=strange),
    ):
        assert answer.status_code < 500, answer.text
        refusal(answer, answer.status_code)
    assert (await root.http.get("/api/repls")).json() == []


async def test_a_postgresql_that_goes_away_and_comes_back(root: Browser, postgres_folder: Path) -> None:
    (socket,) = (path for path in postgres_folder.glob(".s.PGSQL.*") if not path.name.endswith(".lock"))
    connection = await asyncpg.connect(
        host=str(postgres_folder), user=postgres.ROLE, password=DATABASE_PASSWORD, database="postgres"
    )
    away = socket.with_name("away")
    socket.rename(away)
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename IS NOT NULL"
    )
    await connection.execute(others)
    await connection.close()
    answers = [await root.http.get("/api/repls") for _ in range(2)]
    away.rename(socket)
    assert (await root.http.get("/api/repls")).status_code == 200
    for answer in answers:
        refusal(answer, 503)
