"""The link alone, with a control connection of the test's own."""

import asyncio
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from runner.protocol import messages as m
from runner.protocol.frames import Decoder
from runner.proxy.budget import FRAME_COST, Budget
from runner.proxy.link import AgentLink
from tests.runner.proxy.stage import DEADLINE_S


class Told:
    """What the link told of."""

    def __init__(self, path: Path) -> None:
        self.hellos: list[m.Hello] = []
        self.messages: list[m.FromAgent] = []
        self.lost = self.gone = 0
        self.some = asyncio.Event()
        self.link = AgentLink(
            path,
            os.getuid(),
            on_hello=self.hellos.append,
            on_message=self._message,
            on_lost=self._lost,
            on_gone=self._gone,
            on_stream=lambda stream, transport, rest: False,
        )

    def _message(self, message: m.FromAgent) -> None:
        self.messages.append(message)
        self.some.set()

    def _lost(self) -> None:
        self.lost += 1
        self.some.set()

    def _gone(self) -> None:
        self.gone += 1
        self.some.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.messages) < count:
                self.some.clear()
                await self.some.wait()


async def test_messages_come_in_order_however_the_bytes_are_cut(tmp_path: Path) -> None:
    told = Told(tmp_path / "agent.sock")
    async with told.link:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "agent.sock"))
        sent: list[m.FromAgent] = [m.Output(1, n, bytes([n % 256]) * (n % 700)) for n in range(300)]
        data = m.encode(m.Hello(m.VERSION, 1, ())) + b"".join(m.encode(message) for message in sent)
        for at in range(0, len(data), 997):
            writer.write(data[at : at + 997])
            await writer.drain()
            await asyncio.sleep(0)
        await told.until(len(sent))
        assert told.messages == sent
        assert Decoder().feed(await reader.read(1000))[0][0] == m.kind_of(m.Welcome)
        writer.close()
        async with asyncio.timeout(DEADLINE_S):
            while not told.lost:
                told.some.clear()
                await told.some.wait()
        assert not told.link.connected


@pytest.mark.parametrize("turns", range(6))
async def test_who_dials_as_it_ends_is_not_kept(tmp_path: Path, turns: int) -> None:
    """An agent would believe itself connected, and not dial the proxy that comes next."""
    told = Told(tmp_path / "agent.sock")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.setblocking(False)
        async with told.link:
            agent.connect(str(tmp_path / "agent.sock"))
            agent.send(m.encode(m.Hello(m.VERSION, 1, ())))
            for _ in range(turns):  # of the loop, in which it is accepted
                await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionResetError):
                while await loop.sock_recv(agent, 1000):
                    pass
        assert not told.link.connected


async def test_a_flood_of_tiny_frames_is_read_within_the_budget(tmp_path: Path) -> None:
    """Another connection to the same loop is served meanwhile."""
    told = Told(tmp_path / "agent.sock")
    async with told.link:
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "agent.sock"))
        writer.write(m.encode(m.Hello(m.VERSION, 1, ())))
        frames = 20_000
        writer.write(m.encode(m.Pong(7)) * frames)
        await told.until(1)
        turns = 0
        while len(told.messages) < frames:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 3
        writer.close()


def test_the_budget_lets_bursts_through_and_then_slows_down() -> None:
    budget = Budget(0.0, rate_per_s=1_000_000, burst=500_000)
    assert budget.spend(1, 100_000, 0, 0.0) == 0
    assert budget.spend(1, 400_000, 0, 0.0) == (2 * FRAME_COST) / 1_000_000
    assert budget.spend(0, 0, 0, 1.0) == 0
    assert budget.spend(0, 1_500_000, 0, 100.0) == 1.0, "what is saved up is bounded by the burst"


async def test_a_program_that_dials_and_says_nonsense_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "agent.sock"
    async with Told(path).link, asyncio.timeout(DEADLINE_S):
        for nonsense in (b"\xff" * 5, m.encode(m.Hello(m.VERSION, 1, ())) + b"\xff" * 5):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(nonsense)
            await reader.read()  # until it is cut off
            writer.close()
    assert caplog.records == []


@patch("runner.proxy.link.GONE_S", 0.1)
async def test_an_agent_that_does_not_come_back_is_told_as_gone_once(tmp_path: Path) -> None:
    told = Told(tmp_path / "agent.sock")
    hello = m.encode(m.Hello(m.VERSION, 1, ()))
    async with told.link:
        for times in (1, 2):
            _, writer = await asyncio.open_unix_connection(str(tmp_path / "agent.sock"))
            writer.write(hello)
            async with asyncio.timeout(DEADLINE_S):
                await told.link.ready.wait()
            assert told.gone == times - 1
            writer.close()
            async with asyncio.timeout(DEADLINE_S):
                while told.gone < times:
                    told.some.clear()
                    await told.some.wait()
        assert (told.lost, told.gone) == (2, 2)
