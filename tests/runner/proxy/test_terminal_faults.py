"""Terminals while everything around them fails, or takes nothing: byte by byte the same, and nobody else is held up."""

import asyncio
import base64
import os
import random
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest
from websockets.asyncio.client import unix_connect
from websockets.exceptions import ConnectionClosed

from runner.agent.terminal import MAX_PENDING_INPUT_BYTES
from runner.protocol.ring import RING_BYTES
from tests.network import Network
from tests.ports import free_port
from tests.runner.proxy.stage import DEADLINE_S, PYTHON, Stage, Tab, counted

ROOT: Final = Path(__file__).parents[3]
LINES: Final = 60_000
PART_LINES: Final = 30_000  # 200 KB: all parts fit into the ring, nothing may be missing
KILLS: Final = 3
FLOODS: Final = 15  # and one who types: as many as there may be
GROWTH_BYTES: Final = 24 << 20


async def begin(tab: Tab, command: str) -> None:
    """Whose output is what comes behind `begin`."""
    await tab.type(f"stty -echo; PS1=; sleep 0.1; echo be''gin; {command}; echo e''nd\n")


def said(shown: bytes) -> bytes:
    """By the command."""
    return shown.partition(b"begin\r\n")[2].partition(b"end\r\n")[0]


async def test_nothing_is_lost_or_repeated_when_the_network_cuts_frames_in_two(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    chance = random.Random(3)
    shown, offset = b"", 0
    async with stage.attached(terminal) as tab:
        await begin(tab, f"seq {LINES}")
        await tab.until("begin\r\n")
        shown, offset = bytes(tab.text), tab.offset
    server_port = int(stage.url.rpartition(":")[2])
    with Network(free_port(), server_port=server_port).running() as network:
        cut = 0
        while b"end\r\n" not in shown:
            network.cut_after_bytes = chance.randrange(300, 200_000)  # a frame has 64 KiB at most
            async with stage.attached(terminal, after=offset, by=network.url) as tab, asyncio.timeout(DEADLINE_S):
                try:
                    while b"end\r\n" not in tab.text:
                        await tab.step()
                except ConnectionClosed:
                    cut += 1
            assert not tab.gaps
            shown, offset = shown + bytes(tab.text), tab.offset
    assert cut > 3
    assert said(shown) == counted(LINES)


class Lives:
    """Of a proxy in a process of its own, one after the other, below one folder; the agent lives on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.http = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(folder / "http.sock")),
            base_url="http://localhost",
            timeout=DEADLINE_S,
        )
        self._epoch = 0
        self._process: Process | None = None

    async def begin(self) -> None:
        self._epoch += 1
        command = (sys.executable, "-m", "tests.runner.proxy.one_life", str(self.folder), str(self._epoch))
        self._process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        async with asyncio.timeout(DEADLINE_S):
            while not await self._agent_is_there():
                await asyncio.sleep(0.02)

    async def _agent_is_there(self) -> bool:
        try:
            return bool((await self.http.get("/health")).json()["agent"])
        except httpx.TransportError:
            return False

    async def kill(self) -> None:
        assert self._process
        workers = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for worker in workers:
            worker.kill()
        await self._process.wait()
        (self.folder / "http.sock").unlink()

    @asynccontextmanager
    async def attached(self, terminal: str, after: int) -> AsyncIterator[Tab]:
        url = f"ws://localhost/terminals/{terminal}?after={after}"
        where = str(self.folder / "http.sock")
        async with unix_connect(where, url, compression=None, max_size=None, proxy=None) as connection:
            yield Tab(connection, after)


@pytest.fixture
async def lives(tmp_path: Path, installed_agent: Path) -> AsyncIterator[Lives]:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "ticks").write_bytes(bytes(8))
    command = (PYTHON, "-I", "-S", str(installed_agent / "agent.py"), str(tmp_path / "agent.sock"))
    agent = await asyncio.create_subprocess_exec(*command, env={"PATH": "/usr/bin:/bin"}, start_new_session=True)
    lives = Lives(tmp_path)
    try:
        await lives.begin()
        yield lives
        await lives.kill()
    finally:
        await lives.http.aclose()
        agent.kill()
        await agent.wait()


async def test_every_byte_is_there_after_the_proxy_was_killed_amid_output(lives: Lives) -> None:
    terminal = (await lives.http.post("/terminals", json={})).json()["id"]
    shown, offset = b"", 0
    for life in range(KILLS + 1):
        async with lives.attached(terminal, offset) as tab:
            if life == 0:
                await begin(tab, f"for part in $(seq {KILLS + 1}); do seq {PART_LINES}; read go_on; done")
                await tab.until("begin\r\n")
            else:
                await tab.type("\n")
            while tab.offset == offset:
                await tab.step()
            if life == KILLS:
                await tab.type("\n" * (KILLS + 1))  # a proxy may have been killed with one
                await tab.until("end\r\n")
            else:
                await lives.kill()  # what is on the way is lost, and the program writes on
                await tab.until_closed()
                await lives.begin()
        assert not tab.gaps
        shown, offset = shown + bytes(tab.text), tab.offset
    assert said(shown) == counted(PART_LINES) * (KILLS + 1)


@asynccontextmanager
async def drip(stage: Stage, terminal: str) -> AsyncIterator[None]:
    """Somebody attached whose link takes a byte a second, and who acknowledges nothing."""
    address = ("127.0.0.1", int(stage.url.rpartition(":")[2]))
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /terminals/{terminal} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, address)
        await loop.sock_sendall(
            connection, f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

        async def take() -> None:
            while await loop.sock_recv(connection, 1):
                await asyncio.sleep(1)

        taking = asyncio.create_task(take())
        yield
        taking.cancel()
        await asyncio.wait([taking])


async def test_who_takes_a_byte_a_second_holds_up_nobody(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    process = psutil.Process()
    async with stage.attached(terminal) as fast, drip(stage, terminal), drip(stage, terminal):
        await begin(fast, f"seq {LINES}")
        await fast.until("end\r\n")
        memory = process.memory_info().rss
        await begin(fast, "seq 1000000")
        fast.text.clear()
        await fast.until("end\r\n")
        assert not fast.gaps
        assert process.memory_info().rss - memory - len(fast.text) < GROWTH_BYTES


async def test_a_program_that_never_reads_is_interrupted_all_the_same(stage: Stage) -> None:
    other = await stage.open_terminal()
    async with stage.shell() as tab, stage.attached(other) as typing:
        await tab.type("PS1='back>'; echo sta''rted; sleep 10000\n")
        await tab.until("started")
        paste = b"never read\n" * 10_000
        for _ in range(MAX_PENDING_INPUT_BYTES // len(paste) + 3):
            await tab.type(paste)
        await tab.until("is lost")
        await typing.type("echo he''re\n")
        await typing.until("here")
        await tab.type("\x03")
        await tab.until("^C")
        await tab.until("back>")


async def test_a_key_is_echoed_while_all_other_terminals_flood(stage: Stage) -> None:
    floods = [await stage.open_terminal() for _ in range(FLOODS)]
    async with AsyncExitStack() as attached:
        flooded = [await attached.enter_async_context(stage.attached(terminal)) for terminal in floods]

        async def watch(tab: Tab) -> None:
            await tab.type("yes\n")
            while True:
                await tab.step()
                tab.text.clear()

        watching = [asyncio.create_task(watch(tab)) for tab in flooded]
        try:
            async with stage.shell() as tab, asyncio.timeout(DEADLINE_S):
                while any(one.offset < 2 * RING_BYTES for one in flooded):
                    await asyncio.sleep(0.01)
                before = [one.offset for one in flooded]
                await tab.type("echo $((6 * 7))\n")
                await tab.until("42")
                while any(one.offset <= offset for one, offset in zip(flooded, before, strict=True)):
                    await asyncio.sleep(0.01)  # they flood on
                assert not any(one.gaps for one in flooded)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.wait(watching)
