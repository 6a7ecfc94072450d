"""A terminal's other end, in a process of its own: types, acknowledges as the browser does, and times.

`python -m tests.bench.client` reads one JSON task a line on standard input and prints one JSON answer a line:
`{"do": NAME, "url": "ws://…", "cookie": "…", "origin": "…", …}`. Times are milliseconds of this process's clock.
"""

import asyncio
import json
import os
import struct
import sys
import time
from contextlib import suppress
from typing import Any, Protocol

import uvloop
import websockets
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.bench.bare import BarePty

INPUT, RESIZE, ACK, OUTPUT, READY = 1, 2, 3, 17, 22
OFFSET = struct.Struct(">Q")
ACK_BYTES, ACK_S = 32 * 1024, 0.008  # as components/terminal/attachment.mjs has them
DEADLINE_S = 60


class Speaking(Protocol):
    """One attachment to a terminal, whoever serves it."""

    async def type(self, data: bytes) -> None:
        """Send keys."""

    async def output(self) -> bytes:
        """The next piece of output."""


async def until(terminal: Speaking, text: bytes) -> int:
    """Read until `text` has come; the number of bytes read."""
    tail, count = b"", 0
    while text not in tail:
        data = await terminal.output()
        count += len(data)
        tail = tail[-len(text) :] + data
    return count


class Terminal:
    """DEVEX's: binary messages, and what was rendered is acknowledged."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.rendered = 0
        self.acknowledged = 0
        self.acking: asyncio.TimerHandle | None = None
        self.sending: set[asyncio.Task[None]] = set()

    async def type(self, data: bytes) -> None:
        """Send keys."""
        await self.socket.send(bytes([INPUT]) + data)

    async def output(self) -> bytes:
        """The next piece of output, acknowledged."""
        while True:
            frame = await self.socket.recv()
            assert isinstance(frame, bytes)
            if frame[0] != OUTPUT:
                continue
            (offset,) = OFFSET.unpack_from(frame, 1)
            data = frame[9:]
            self.rendered = offset + len(data)
            if self.rendered - self.acknowledged >= ACK_BYTES:
                await self.acknowledge()
            elif self.acking is None:
                self.acking = asyncio.get_running_loop().call_later(ACK_S, self.acknowledge_late)
            return data

    async def acknowledge(self) -> None:
        """What was rendered so far."""
        if self.acking:
            self.acking.cancel()
            self.acking = None
        self.acknowledged = self.rendered
        with suppress(ConnectionClosed):  # a late one finds nobody
            await self.socket.send(bytes([ACK]) + OFFSET.pack(self.rendered))

    def acknowledge_late(self) -> None:
        """After ACK_S."""
        self.acking = None
        task = asyncio.create_task(self.acknowledge())
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)


class Terminado:
    """The same of terminado's: JSON texts, nothing is acknowledged."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def type(self, data: bytes) -> None:
        """Send keys."""
        await self.socket.send(json.dumps(["stdin", data.decode()]))

    async def output(self) -> bytes:
        """The next piece of output."""
        while True:
            kind, *content = json.loads(await self.socket.recv())
            if kind == "stdout":
                text: str = content[0]
                return text.encode()


SPOKEN: dict[str, type[Terminal] | type[Terminado]] = {"devex": Terminal, "terminado": Terminado}


def attach(task: dict[str, Any], url: str | None = None) -> websockets.connect:
    """A WebSocket as the page would open it; to the port `dialled`, when it leads there by another way."""
    way = {"host": "127.0.0.1", "port": task["dialled"]} if "dialled" in task else {}
    url = url or task["url"]
    return websockets.connect(
        url,
        origin=task["origin"],
        additional_headers={"Cookie": task["cookie"]},
        compression=None,
        max_size=None,
        proxy=None,
        **way,
    )


async def prompt(task: dict[str, Any]) -> dict[str, float]:
    """Attach and get the answer of a first command."""
    async with attach(task) as socket:
        terminal = Terminal(socket)
        await terminal.type(b"echo $((6*7))a\n")
        await until(terminal, b"42a")
    return {"at": time.time()}


QUIET_CAT = b"stty raw -echo; echo re''ady; exec cat\n"  # echo by a program, as a shell's line editor does it


async def _quiet_cat(terminal: Speaking) -> None:
    await terminal.type(QUIET_CAT)
    await until(terminal, b"ready")


async def echo(task: dict[str, Any]) -> dict[str, list[float]]:
    """Key to echo, one key at a time."""
    async with attach(task) as socket:
        terminal = Terminal(socket)
        await _quiet_cat(terminal)
        times = []
        for _ in range(task["keys"]):
            started = time.perf_counter()
            await terminal.type(b"x")
            await until(terminal, b"x")
            times.append((time.perf_counter() - started) * 1000)
        return {"times": times}


async def bare_echo(task: dict[str, Any]) -> dict[str, list[float]]:
    """Key to echo on a PTY of this very process: what is left when DEVEX, sockets and sandbox are taken away."""
    terminal = BarePty()
    terminal.write(QUIET_CAT)
    terminal.until(b"ready")
    output: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(terminal.master, lambda: output.put_nowait(os.read(terminal.master, 65536)))
    times = []
    for _ in range(task["keys"]):
        started = time.perf_counter()
        terminal.write(b"x")
        assert await output.get() == b"x"
        times.append((time.perf_counter() - started) * 1000)
    loop.remove_reader(terminal.master)
    terminal.close()
    return {"times": times}


async def echo_many(task: dict[str, Any]) -> dict[str, list[float]]:
    """Key to echo, with `per_s` keys a second, evenly spread, typed at each of `urls`, which are of who `speaks`."""
    times: list[float] = []
    ready, done = asyncio.Barrier(len(task["urls"])), asyncio.Barrier(len(task["urls"]))

    async def type_on(index: int, url: str) -> None:
        async with attach(task, url) as socket:
            terminal = SPOKEN[task.get("speaks", "devex")](socket)
            await _quiet_cat(terminal)
            await ready.wait()
            pause = 1 / task["per_s"]
            due = time.perf_counter() + pause * index / len(task["urls"])
            for _ in range(task["keys"]):
                await asyncio.sleep(max(0, due - time.perf_counter()))
                started = time.perf_counter()
                await terminal.type(b"x")
                await until(terminal, b"x")
                times.append((time.perf_counter() - started) * 1000)
                due += pause
            await done.wait()  # those that leave early would disturb the others

    async with asyncio.TaskGroup() as group:
        for index, url in enumerate(task["urls"]):
            group.create_task(type_on(index, url))
    return {"times": times}


async def flood(task: dict[str, Any]) -> dict[str, float]:
    """MB/s of `command`'s output at the WebSocket of who `speaks`."""
    async with attach(task) as socket:
        terminal = SPOKEN[task.get("speaks", "devex")](socket)
        await terminal.type(b"PS1='$ '; echo re''ady\n")
        await until(terminal, b"ready")
        started = time.perf_counter()
        await terminal.type(task["command"].encode() + b"; echo d''one\n")
        await until(terminal, b"done")
        return {"mb_s": task["size_bytes"] / 1e6 / (time.perf_counter() - started)}


async def ctrl_c(task: dict[str, Any]) -> dict[str, list[float]]:
    """From Ctrl-C under `yes` to the prompt."""
    times = []
    async with attach(task) as socket:
        terminal = SPOKEN[task.get("speaks", "devex")](socket)
        await terminal.type(b"PS1='prom''pt>'\n")
        for _ in range(task["rounds"]):
            await terminal.type(b"yes\n")
            seen = 0
            while seen < task["flooded_bytes"]:
                seen += len(await terminal.output())
            started = time.perf_counter()
            await terminal.type(b"\x03")
            await until(terminal, b"prompt>")
            times.append((time.perf_counter() - started) * 1000)
    return {"times": times}


TASKS = {
    "prompt": prompt,
    "echo": echo,
    "bare_echo": bare_echo,
    "echo_many": echo_many,
    "flood": flood,
    "ctrl_c": ctrl_c,
}


async def main() -> None:
    """Answer tasks until standard input ends."""
    print(json.dumps({"ready": True}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = json.loads(line)
        async with asyncio.timeout(DEADLINE_S):
            answer = await TASKS[task["do"]](task)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
