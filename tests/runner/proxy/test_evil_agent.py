"""User code in the agent's place: whatever it does, the proxy is bounded and takes an honest agent afterwards."""

import asyncio
import os
from dataclasses import replace

import psutil
import pytest

from tests.runner.evil_agent import ATTACKS, Attack
from tests.runner.proxy.stage import DEADLINE_S, Stage

GROWTH_BYTES = 64 << 20  # less than one attack sends; several sandboxes must fit a small machine


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
async def test_an_attack_changes_nothing(empty_stage: Stage, attack: Attack) -> None:
    process = psutil.Process()
    memory, descriptors = process.memory_info().rss, process.num_fds()
    asking = asyncio.create_task(_open_terminal(empty_stage)) if attack.needs_open else None
    closed = await asyncio.to_thread(attack.run, str(empty_stage.config.socket_path))
    assert closed or not attack.must_close
    if asking:
        await asking
    assert process.memory_info().rss - memory < GROWTH_BYTES
    await empty_stage.agent_gone()
    await _serves_an_honest_agent(empty_stage)
    assert process.num_fds() <= descriptors + 4, "the server's sockets and the agent's, no others"


async def _open_terminal(stage: Stage) -> None:
    answer = await stage.http.post("/terminals", json={})
    assert answer.status_code in (201, 502, 503)
    if answer.status_code == 201:
        async with stage.attached(answer.json()["id"]) as tab:
            await tab.type("x" * 1000)
            await tab.step()


async def _serves_an_honest_agent(stage: Stage) -> None:
    agent = stage.start_agent()
    async with asyncio.timeout(DEADLINE_S):
        await stage.proxy.ready()
        async with stage.shell() as tab:
            await tab.type("echo ho''nest\n")
            await tab.until("honest")
    assert agent.poll() is None


async def test_a_stranger_of_another_uid_is_not_let_in(empty_stage: Stage) -> None:
    await empty_stage.proxy.__aexit__(None, None, None)
    empty_stage.config = replace(empty_stage.config, agent_uid=os.getuid() + 1)
    await empty_stage.start_proxy()
    reader, writer = await asyncio.open_unix_connection(str(empty_stage.config.socket_path))
    async with asyncio.timeout(DEADLINE_S):
        assert await reader.read() == b""
    writer.close()
    assert not empty_stage.proxy.agent_connected


async def test_a_socket_that_was_replaced_is_bound_again(empty_stage: Stage) -> None:
    """A link in its place is removed, not followed."""
    elsewhere = empty_stage.workspace / "elsewhere"
    elsewhere.touch()
    await empty_stage.proxy.__aexit__(None, None, None)
    empty_stage.config.socket_path.unlink()
    empty_stage.config.socket_path.symlink_to(elsewhere)
    await empty_stage.start_proxy()
    assert empty_stage.config.socket_path.is_socket()
    assert elsewhere.read_bytes() == b""
