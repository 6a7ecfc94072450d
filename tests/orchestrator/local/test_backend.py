"""The contract of every backend, kept by real sandboxes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.backends.local.backend import LocalBackend
from tests.contracts.backend import BackendContract


class TestLocalBackend(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[LocalBackend]:
        async with LocalBackend(tmp_path, keep_on_exit=False) as backend:
            yield backend
