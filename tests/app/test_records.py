import pytest

from app.storage.records import TortoiseRecords
from tests.contracts.records import RecordsContract


class TestTortoiseRecords(RecordsContract):
    @pytest.fixture
    async def records(self, opened_database: str) -> TortoiseRecords:
        return TortoiseRecords()
