import asyncio
from contextlib import aclosing

import asyncpg
import pytest

from app.storage.records import TortoiseRecords
from orchestrator.records import Changed
from tests.contracts.records import RecordsContract, make_repl

DEADLINE_S = 30.0


class TestTortoiseRecords(RecordsContract):
    @pytest.fixture
    async def records(self, opened_database: str) -> TortoiseRecords:
        return TortoiseRecords()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_any_server_changes_is_told_by_postgresql(opened_database: str) -> None:
    records, repl = TortoiseRecords(), make_repl()
    other = await asyncpg.connect(opened_database)
    async with aclosing(records.watch()) as changes, asyncio.timeout(DEADLINE_S):
        assert await anext(changes) is None
        await records.insert(repl)
        await records.update(repl, name="another")
        await other.execute("DELETE FROM repls")
        told = [await anext(changes) for _ in range(3)]
        assert told == [Changed(repl.id, 0), Changed(repl.id, 1), Changed(repl.id, None)]
        await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        with pytest.raises(ConnectionError):
            await anext(changes)
    await other.close()
    async with aclosing(records.watch()) as changes:
        assert await anext(changes) is None
