"""What a killed server left half uploaded."""

import asyncio
import os

import pytest

from runner.proxy.files import uploads
from tests.runner.proxy.stage import DEADLINE_S, Stage


async def test_half_uploads_that_nobody_continues_are_deleted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    left, continued = stage.workspace / ".devex-u87654321.part", stage.workspace / ".devex-u12345678.part"
    left.touch()
    continued.touch()
    os.utime(left, (0, 0))
    monkeypatch.setattr(uploads, "FIRST_SWEEP_S", 0.0)
    await stage.restart_proxy()
    async with asyncio.timeout(DEADLINE_S):
        while left.exists():
            await asyncio.sleep(0)
    assert continued.exists()
