"""Waiting for what other tasks, or other processes, bring about."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

DEADLINE_S: Final = 60
_LOOKS_EVERY_S: Final = 0.01


async def until(condition: Callable[[], Any]) -> None:
    """For what tells nobody that it changed. Raises TimeoutError when it does not come true."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(_LOOKS_EVERY_S)
