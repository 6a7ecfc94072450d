"""Terminals as a browser sees them: every byte once and in order, whatever is cut, restarted or slow."""

import asyncio
import hashlib
import random

from tests.runner.proxy.stage import EXITED, PING, PONG, SIZE, Stage, Tab


async def test_a_key_is_echoed_and_a_command_answers(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("echo $((6*7))\n")
        await tab.until("42")
        assert tab.ready
        assert tab.ready["kind"] == "shell"
        assert tab.ready["can_write"] is True
    assert "keystroke" in stage.activity
    assert "output" in stage.activity
