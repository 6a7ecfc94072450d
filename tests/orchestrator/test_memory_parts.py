"""What ships for tests keeps the promises of what ships for users."""

from collections.abc import AsyncIterator

import pytest

from orchestrator.backends.base import Backend
from orchestrator.backends.memory import MemoryBackend
from orchestrator.records import MemoryRecords
from tests.contracts.backend import COMPUTE_S, BackendContract
from tests.contracts.records import RecordsContract


class TestMemoryRecords(RecordsContract):
    @pytest.fixture
    async def records(self) -> MemoryRecords:
        return MemoryRecords()


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    async def backend(self) -> AsyncIterator[MemoryBackend]:
        async with MemoryBackend() as backend:
            yield backend

    def viewer(self) -> object:
        return None

    async def compute(self, backend: Backend, repl_id: str) -> None:
        assert isinstance(backend, MemoryBackend)
        backend.machine.compute(repl_id, COMPUTE_S)
