"""Opening the database: its address, its migrations, and what to say when that fails."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from typing import Any

from tortoise import Tortoise
from tortoise.backends.base.config_generator import expand_db_url
from tortoise.exceptions import BaseORMException, DBConnectionError, OperationalError
from tortoise.migrations import api as migrations

from runner.errors import DevexError

FILE_NAME = "devex.sqlite3"
BUSY_TIMEOUT_MS = 5000  # the command line may write while the server does
MIGRATING = int.from_bytes(b"devex")  # an advisory lock of PostgreSQL
CONNECT_DEADLINE_S = 10.0  # a database that is there answers at once

# WAL (the ORM's default) and NORMAL: a crash of the process loses nothing, a power cut at most the last moments.
SQLITE_OPTIONS = f"?busy_timeout={BUSY_TIMEOUT_MS}&synchronous=NORMAL"


class BadDatabase(DevexError):
    def __init__(self, message: str, action: str) -> None:
        super().__init__("database", message, action, status=503)


class Unavailable(DevexError):
    """It fails while the server runs: whoever asked is told, and nothing they wanted was changed."""

    def __init__(self, error: Exception) -> None:
        if "is full" in str(error):
            action = "Ask the operator to make room, then try again."
            super().__init__("disk_full", "The server's disk is full.", action, status=507, retryable=True)
        else:
            super().__init__("database", "The database cannot be used just now.", "", status=503, retryable=True)
            self.action = f"Try again in a moment; if it stays, tell the operator this number: {self.id}."


def has_failed(error: Exception) -> bool:
    """Whether it came out of the database or its driver (each has exceptions of its own), and is no mistake of ours."""
    if isinstance(error, BaseORMException):
        return isinstance(error, OperationalError | DBConnectionError)
    of_driver = isinstance(error, OSError | TimeoutError | sqlite3.Error) or type(error).__module__.startswith(
        "asyncpg"
    )
    if not of_driver:
        return False
    modules = (str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__))
    return any(module.startswith("tortoise.") for module in modules)


def url_of(database_url: str, data_dir: Path) -> str:
    """The address the ORM understands."""
    url = database_url or f"sqlite://{data_dir / FILE_NAME}"
    if url.startswith("postgresql://"):
        return url.replace("postgresql://", "asyncpg://", 1)
    if url.startswith("sqlite:") and "?" not in url:
        return url + SQLITE_OPTIONS
    return url


def config_of(url: str) -> dict[str, Any]:
    kind = url.partition(":")[0]  # the ORM keeps queries by the connection's name, and dialects differ
    models = {"models": ["app.storage.models"], "migrations": "app.storage.migrations", "default_connection": kind}
    return {
        "connections": {kind: url},
        "apps": {"models": models},
        "use_tz": True,
        "timezone": "UTC",
    }


TORTOISE_ORM = config_of("sqlite://:memory:")
"""For the `tortoise` command, which writes new migrations."""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[None]:
    """The database, migrated to this version. Raises BadDatabase when it cannot be used, with one sentence."""
    try:
        if url.startswith("sqlite:"):
            await asyncio.to_thread(_check_file, _path(url))
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            await _migrate(url)
    except _opening_errors(url) as error:
        with suppress(BaseORMException):  # an address that names no connection
            await Tortoise.close_connections()
        raise _bad_database(url, error) from error
    try:
        yield
    finally:
        await Tortoise.close_connections()


def _opening_errors(url: str) -> tuple[type[Exception], ...]:
    """The exceptions with which a database may refuse to be opened."""
    known = (OSError, TimeoutError, sqlite3.Error, BaseORMException, ValueError, TypeError)  # of what an address adds
    if url.startswith("sqlite:"):
        return known
    import asyncpg  # with SQLite the server starts without it

    return (*known, asyncpg.PostgresError, asyncpg.InterfaceError)


def _path(url: str) -> str:
    return url.removeprefix("sqlite://").partition("?")[0]


def _check_file(path: str) -> None:
    """Make it, for its owner alone, as SQLite then makes the files beside it.

    Raises sqlite3.Error when it is damaged or cannot be written: the ORM would wait for it for ever.
    """
    with suppress(OSError):  # SQLite says it better
        Path(path).touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version}")  # a write: a read-only file lets a transaction begin
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        connection.execute("ROLLBACK")
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
    finally:
        connection.close()


async def _migrate(url: str) -> None:
    config = config_of(url)
    async with _alone(url):
        await migrations.migrate(config=config)
        await Tortoise.close_connections()
    await Tortoise.init(config=config, _enable_global_fallback=True)  # requests run in contexts of their own


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator[None]:
    """One server at a time: several may start at once, with PostgreSQL."""
    if url.startswith("sqlite:"):
        yield
        return
    from tortoise.backends.asyncpg.client import AsyncpgDBClient

    database = AsyncpgDBClient(**expand_db_url(url)["credentials"], connection_name="migrating")
    await database.create_connection(with_db=True)
    try:
        async with database.acquire_connection() as connection:  # which lets go of the lock when it is given back
            await connection.execute(f"SELECT pg_advisory_lock({MIGRATING})")
            yield
    finally:
        await database.close()


def _bad_database(url: str, error: Exception) -> BadDatabase:
    if not url.startswith("sqlite:"):
        reason = str(error).strip() or type(error).__name__
        return BadDatabase(
            f"The PostgreSQL database does not answer as it should: {reason}.",
            "Check DEVEX_DATABASE_URL and that the server runs.",
        )
    path = _path(url)
    if "not a database" in str(error) or "malformed" in str(error):
        return BadDatabase(
            f"The database {path} is damaged.", "Put a backup in its place, or move it away to begin anew."
        )
    if "readonly" in str(error) or "unable to open" in str(error) or isinstance(error, PermissionError):
        return BadDatabase(
            f"The database {path} cannot be written.", "Let the user who runs DEVEX write it and its folder."
        )
    if "is full" in str(error):
        return BadDatabase(f"The disk of the database {path} is full.", "Make room on it, then start again.")
    if "locked" in str(error):
        return BadDatabase(f"The database {path} is in use.", "Stop the other process that uses it.")
    return BadDatabase(f"The database {path} cannot be used: {error}.", "Restore a backup, or report this.")
