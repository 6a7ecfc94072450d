"""Repls in the database. `tests/contracts/records.py` runs against it on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, Final

from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from app.storage.models import Installation, ReplRow
from orchestrator.domain import RESTING, Goal, Phase, Repl
from orchestrator.records import Changed, DuplicateRecord, RecordConflict

CHANNEL: Final = "devex_repls"  # see the migration `changes_are_told`
STILL_THERE_S: Final = 30.0  # how often a connection on which nothing is told is asked whether it is one
ANSWERS_WITHIN_S: Final = 10.0

FIELDS = tuple(field.name for field in fields(Repl))

# The same sentence as Repl.at_rest, for the database.
AT_REST = Q(goal=Goal.STOP) & Q(phase__in=RESTING) & (Q(seeded=True) | Q(phase=Phase.FAILED)) & Q(unsaved=False)


async def installation() -> str:
    """Which one this database is of: a random id. A copy of the database is of the same."""
    return (await Installation.get()).id


class TortoiseRecords:
    """Records by way of the ORM, which must have been opened."""

    async def get(self, repl_id: str) -> Repl | None:
        return _repl(await ReplRow.get_or_none(id=repl_id))

    async def get_by_slug(self, slug: str) -> Repl | None:
        return _repl(await ReplRow.get_or_none(slug=slug))

    async def get_by_request(self, owner_id: str, request_id: str) -> Repl | None:
        return _repl(await ReplRow.get_or_none(owner_id=owner_id, request_id=request_id))

    async def list_by_owner(self, owner_id: str) -> list[Repl]:
        return [_of(row) for row in await ReplRow.filter(owner_id=owner_id).order_by("-opened_at")]

    async def list_by_ids(self, repl_ids: Collection[str]) -> list[Repl]:
        return [_of(row) for row in await ReplRow.filter(id__in=list(repl_ids)).order_by("-opened_at")]

    async def list_all(self) -> list[Repl]:
        """Those in the trash, too; by slug."""
        return [_of(row) for row in await ReplRow.all().order_by("slug")]

    async def list_live(self) -> list[Repl]:
        return [_of(row) for row in await ReplRow.filter(~AT_REST)]

    async def list_at_rest(self) -> list[Repl]:
        return [_of(row) for row in await ReplRow.filter(AT_REST)]

    async def insert(self, repl: Repl) -> None:
        try:
            await ReplRow.create(**{name: getattr(repl, name) for name in FIELDS})
        except IntegrityError:
            raise DuplicateRecord from None

    async def update(self, repl: Repl, **changes: Any) -> Repl:
        """Reads back nothing: what the caller holds is what is stored, or the revision would differ."""
        updated = replace(repl, **changes, revision=repl.revision + 1)
        at_revision = ReplRow.filter(id=repl.id, revision=repl.revision)
        if not await at_revision.update(**changes, revision=updated.revision):
            raise RecordConflict
        return updated

    async def delete(self, repl_id: str) -> None:
        await ReplRow.filter(id=repl_id).delete()

    async def watch(self) -> AsyncGenerator[Changed | None, None]:
        """On PostgreSQL, by a connection of the pool that is kept for it. SQLite's is of one server."""
        database: Any = ReplRow._meta.db
        if database.capabilities.dialect != "postgres":
            yield None
            await asyncio.Event().wait()
        from asyncpg import InterfaceError  # with SQLite the server starts without it

        async with database.acquire_connection() as connection:
            told: asyncio.Queue[str | None] = asyncio.Queue()  # unbounded: PostgreSQL keeps no less for who is slow

            def hear(_connection: Any, _pid: int, _channel: str, payload: str) -> None:
                told.put_nowait(payload)

            def lost(_connection: Any) -> None:
                told.put_nowait(None)

            connection.add_termination_listener(lost)
            await connection.add_listener(CHANNEL, hear)
            try:
                yield None
                while True:
                    try:
                        async with asyncio.timeout(STILL_THERE_S):
                            payload = await told.get()
                    except TimeoutError:
                        await connection.fetchval("SELECT 1", timeout=ANSWERS_WITHIN_S)
                        continue
                    if payload is None:
                        raise ConnectionError("the database has closed the connection")
                    yield _changed(payload)
            finally:
                with suppress(InterfaceError):  # the pool has taken it back: it is gone
                    connection.remove_termination_listener(lost)
                    await connection.remove_listener(CHANNEL, hear)


def _changed(payload: str) -> Changed:
    repl_id, _, revision = payload.partition(" ")
    return Changed(repl_id, int(revision) if revision else None)


def _repl(row: ReplRow | None) -> Repl | None:
    return _of(row) if row is not None else None


def _of(row: ReplRow) -> Repl:
    values = {name: getattr(row, name) for name in FIELDS}
    return Repl(**{**values, "goal": Goal(row.goal), "phase": Phase(row.phase)})
