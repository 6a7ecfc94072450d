"""What the tests of the proxy play on: RunnerProxy, uvicorn as the product runs it, agent, browser."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.gateway.websockets import WebSocket
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.snapshots.snapshots import Snapshots
from runner.time_slices import TimeSlices
from runner.viewer import Viewer

PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable  # what a sandbox has
DEADLINE_S = 60.0
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/tmp", "PORT": "3000"}
INPUT, RESIZE, ACK, SIGNAL, PING, TURN = 1, 2, 3, 4, 5, 6
OUTPUT, GAP, EXITED, SIZE, PONG, READY, PEOPLE, REFUSED, MODES = 17, 18, 19, 20, 21, 22, 23, 24, 25


def counted(lines: int) -> bytes:
    """What `seq` says in a terminal."""
    return b"".join(b"%d\r\n" % number for number in range(1, lines + 1))


class Gateway:
    """Says who is there: `X-Test-Name` or Una; whoever asks with `X-Test-Role: reader` may only look."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app
        headers = dict(scope["headers"])
        name = headers.get(b"x-test-name", b"Una").decode()
        viewer = Viewer(name.lower(), name, headers.get(b"x-test-role") != b"reader")
        await self.app({**scope, "devex.viewer": viewer}, receive, send)


class Stage:
    """`workspace` is where the programs run; `activity` collects what the proxy told of."""

    def __init__(self, directory: Path, agent: Path, shell: tuple[str, ...] = ("/bin/sh", "-i")) -> None:
        self.workspace = directory / "workspace"
        self.workspace.mkdir()
        self.activity: list[str] = []
        self.config = ProxyConfig(
            repl_id="r1",
            workspace=self.workspace,
            socket_path=directory / "agent.sock",
            agent_uid=os.getuid(),
            environment={**ENVIRONMENT, "PS1": "$ ", "GREETING": "hello there"},
            cwd=str(self.workspace),
            run_command="echo default",
            shell=shell,
            quota_bytes=1 << 30,
            quota_entries=10_000,
            records=directory / "records",
        )
        self._agent_files = agent
        self._gateway = Gateway()
        self.snapshots: Snapshots | None = None  # set before `restart_proxy`
        self.agents: list[subprocess.Popen[bytes]] = []

    async def __aenter__(self) -> Self:
        await self.start_proxy()
        socket: Any = partial(WebSocket, slices=TimeSlices())
        config = uvicorn.Config(self._gateway, port=0, ws=socket, log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(DEADLINE_S):
            while not self._server.started:
                await asyncio.sleep(0.005)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=DEADLINE_S, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        await self.proxy.__aexit__(None, None, None)
        self._server.should_exit = True
        self._server.force_exit = True
        await self._serving
        for agent in self.agents:
            agent.kill()
            agent.wait()
        _kill_all_in(self.workspace)

    async def start_proxy(self) -> None:
        self.proxy = RunnerProxy(self.config, on_activity=self.activity.append, snapshots=self.snapshots)
        await self.proxy.__aenter__()
        self._gateway.app = self.proxy

    async def restart_proxy(self, **changes: Any) -> None:
        """As an upgrade of the server does; with `changes` of its configuration."""
        await self.proxy.__aexit__(None, None, None)
        self.config = replace(self.config, **changes)
        await self.start_proxy()
        async with asyncio.timeout(DEADLINE_S):
            await self.proxy.ready()

    async def cut_the_link(self) -> None:
        """As when the agent's word was refused; it dials again by itself."""
        assert self.proxy._link._control
        self.proxy._link._control.close()
        await self.agent_gone()

    async def agent_gone(self) -> None:
        """Until the proxy has noticed."""
        async with asyncio.timeout(DEADLINE_S):
            while self.proxy.agent_connected:
                await asyncio.sleep(0.005)

    def start_agent(self) -> subprocess.Popen[bytes]:
        command = [PYTHON, "-I", "-S", str(self._agent_files / "agent.py"), str(self.config.socket_path)]
        agent = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin"}, start_new_session=True)
        self.agents.append(agent)
        return agent

    async def open_terminal(self, **size: int) -> str:
        answer = await self.http.post("/terminals", json=size)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    @asynccontextmanager
    async def attached(
        self, terminal: str, after: int = 0, *, role: str = "writer", name: str = "Una", by: str = "", page: str = ""
    ) -> AsyncIterator[Tab]:
        """`by` is another address than the server's own, which leads there; `page`: ID.SENT."""
        url = f"{(by or self.url).replace('http', 'ws')}/terminals/{terminal}?after={after}&page={page}"
        headers = {"X-Test-Role": role, "X-Test-Name": name}
        async with connect(url, additional_headers=headers, compression=None, max_size=None, proxy=None) as socket:
            yield Tab(socket, after)

    @asynccontextmanager
    async def shell(self, **size: int) -> AsyncIterator[Tab]:
        async with self.attached(await self.open_terminal(**size)) as tab:
            yield tab

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Listener]:
        url = f"{self.url.replace('http', 'ws')}/events"
        async with connect(url, compression=None, max_size=None, proxy=None) as socket:
            yield Listener(socket)

    @asynccontextmanager
    async def port_socket(self, port: int, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
        """To a program behind a port."""
        url = f"{self.url.replace('http', 'ws')}/ports/{port}{path}"
        async with connect(url, compression=None, max_size=None, proxy=None, **options) as socket:
            yield socket


def _kill_all_in(folder: Path) -> None:
    """What runs there: in a sandbox it would end with its agent, here programs on pipes hear nothing of that."""
    for process in os.scandir("/proc"):
        with suppress(OSError):
            if process.name.isdecimal() and os.readlink(f"/proc/{process.name}/cwd").startswith(str(folder)):
                os.kill(int(process.name), signal.SIGKILL)


class Listener:
    """Of events."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of that type; others are passed over."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if message["type"] == kind:
                    return message


class Tab:
    """A browser's terminal: `text` is what it shows, `gaps` what it was told is missing. Acknowledges at once."""

    def __init__(self, socket: ClientConnection, after: int = 0, *, acknowledges: bool = True) -> None:
        self.socket = socket
        self.offset = after
        self.text = bytearray()
        self.gaps: list[tuple[int, int]] = []
        self.size: tuple[int, int] | None = None
        self.ready: dict[str, Any] | None = None
        self.exit: dict[str, Any] | None = None
        self.people: dict[str, Any] | None = None
        self.refused: dict[str, Any] | None = None
        self.modes = b""
        self.taken: int | None = None
        self.pong: int | None = None
        self.acknowledges = acknowledges

    async def type(self, text: str | bytes) -> None:
        await self.socket.send(bytes([INPUT]) + (text.encode() if isinstance(text, str) else text))

    async def resize(self, cols: int, rows: int) -> None:
        await self.socket.send(struct.pack(">BHH", RESIZE, cols, rows))

    async def give(self, person: int) -> None:
        """The turn."""
        await self.socket.send(struct.pack(">BI", TURN, person))

    async def acknowledge(self) -> None:
        await self.socket.send(struct.pack(">BQ", ACK, self.offset))

    async def step(self) -> int:
        """Take one message -> its kind."""
        frame = await self.socket.recv()
        assert isinstance(frame, bytes)
        kind, body = frame[0], frame[1:]
        match kind:
            case 17:  # OUTPUT
                (offset,) = struct.unpack_from(">Q", body)
                assert offset == self.offset, "neither lost nor repeated"
                self.text += body[8:]
                self.offset += len(body) - 8
                if self.acknowledges:
                    await self.acknowledge()
            case 18:
                start, end = struct.unpack(">QQ", body)
                assert start == self.offset
                self.gaps.append((start, end))
                self.offset = end
            case 19:
                self.exit = json.loads(body)
            case 20:
                self.size = struct.unpack(">HH", body)
            case 21:
                (self.pong,) = struct.unpack(">I", body)
            case 22:
                self.ready = json.loads(body)
                self.taken = self.ready["taken"]
            case 23:
                self.people = json.loads(body)
            case 24:
                self.refused = json.loads(body)
            case 25:
                self.modes = body
            case 26:
                (self.taken,) = struct.unpack(">Q", body)
            case _:
                raise AssertionError(f"unknown kind {kind}")
        return kind

    async def until(self, text: str | bytes) -> None:
        """Until `text` has come, after what was there when it was asked for."""
        wanted = text.encode() if isinstance(text, str) else text
        at = len(self.text)
        async with asyncio.timeout(DEADLINE_S):
            while wanted not in self.text[max(0, at - len(wanted)) :]:
                await self.step()

    async def until_kind(self, kind: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while await self.step() != kind:
                pass

    async def pinged(self) -> None:
        """Until the proxy has taken all that was sent."""
        await self.socket.send(struct.pack(">BI", PING, 1))
        await self.until_kind(PONG)

    async def until_closed(self) -> int:
        """-> the code."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while True:
                    await self.step()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
