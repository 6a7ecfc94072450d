"""The smallest proxy that can talk to a real agent: one blocking control connection, everything with a deadline."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from runner.protocol import messages as m
from runner.protocol.frames import HEADER_BYTES, Decoder, parse_header

PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable  # what a sandbox has
DEADLINE_S = 60.0
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "PS1": "$ ", "LANG": "C.UTF-8", "HOME": "/tmp"}
Reply = TypeVar("Reply")


class Lost(Exception):
    """The agent closed the connection."""


class Proxy:
    """`output[channel]` collects what a terminal wrote from `first[channel]` on, without gaps or repetition."""

    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "agent.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(DEADLINE_S)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._control: socket.socket | None = None
        self._forget()

    def _forget(self) -> None:
        self._decoder = Decoder()
        self.output: dict[int, bytearray] = {}
        self.first: dict[int, int] = {}
        self.exits: dict[int, m.Exited] = {}
        self.messages: list[m.FromAgent] = []

    def close(self) -> None:
        self.hang_up()
        self._listener.close()

    def hang_up(self) -> None:
        if self._control:
            self._control.close()
        self._control = None

    # The control connection

    def accept(self, version: str = m.VERSION) -> m.Hello:
        """Take the agent's next dial -> its Hello, answered."""
        self.hang_up()
        self._forget()
        self._control, hello = self._accept()
        assert isinstance(hello, m.Hello)
        self.send(m.Welcome(version))
        return hello

    def _accept(self) -> tuple[socket.socket, m.FromAgent]:
        connection, _ = self._listener.accept()
        connection.settimeout(DEADLINE_S)
        kind, length = parse_header(_exactly(connection, HEADER_BYTES))
        return connection, m.decode_from_agent(kind, _exactly(connection, length))

    def stream(self, number: int, port: int) -> socket.socket | None:
        """Connect to a port in the sandbox -> the raw connection, None when it was refused."""
        self.send(m.Connect(number, port))
        connection, first = self._accept()
        assert isinstance(first, m.Stream)
        assert first.stream == number
        if first.ok:
            return connection
        assert connection.recv(1) == b""
        connection.close()
        return None

    def send(self, *messages: m.FromProxy) -> None:
        self.send_raw(b"".join(map(m.encode, messages)))

    def send_raw(self, data: bytes) -> None:
        assert self._control
        self._control.sendall(data)

    def pump(self, limit_bytes: int = 65536) -> None:
        """Receive once."""
        assert self._control
        try:
            data = self._control.recv(limit_bytes)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise AssertionError(f"nothing comes any more; {self.tail()}") from None
        if not data:
            raise Lost
        for kind, body in self._decoder.feed(data):
            message = m.decode_from_agent(kind, body)
            match message:
                case m.Output(channel, offset, data):
                    assert data
                    assert channel not in self.exits, "output behind the exit"
                    self.first.setdefault(channel, offset)
                    assert offset == self.end(channel), "a gap"
                    self.output.setdefault(channel, bytearray()).extend(data)
                case m.Exited(channel):
                    assert channel not in self.exits
                    self.exits[channel] = message
                case _:
                    self.messages.append(message)

    def until_lost(self) -> None:
        try:
            self.until(lambda: False)
        except Lost:
            self.hang_up()

    def end(self, channel: int) -> int:
        return self.first.get(channel, 0) + len(self.output.get(channel, b""))

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"never came true; {self.tail()}"
            self.pump()

    def tail(self) -> str:
        return f"{ {channel: bytes(output[-300:]) for channel, output in self.output.items()} } {self.messages[-3:]}"

    def until_message(self, kind: type[Reply], accept: Callable[[Reply], bool] = lambda message: True) -> Reply:
        """The first such message not yet taken; others stay."""
        found: list[Reply] = []

        def arrived() -> bool:
            for message in self.messages:
                if isinstance(message, kind) and accept(message):
                    self.messages.remove(message)
                    found.append(message)
                    return True
            return False

        self.until(arrived)
        return found[0]

    def barrier(self) -> None:
        """What the agent sent before it read this Ping has arrived afterwards."""
        self.send(m.Ping(99))
        self.until_message(m.Pong)

    # Terminals

    def open(
        self,
        channel: int,
        *argv: str,
        cwd: str = "/tmp",
        env: Mapping[str, str] = ENVIRONMENT,
        upto: int = m.FREE_RUN,
        piped: bool = False,
    ) -> int:
        """-> pid"""
        credit = [] if upto == m.INITIAL_CREDIT_BYTES else [m.Credit(channel, upto)]
        opening = m.Open(channel, f"t-{channel}", argv, cwd, dict(env), 80, 24, piped)
        self.send(opening, *credit)  # before the program writes
        return self.until_message(m.Opened, lambda message: message.channel == channel).pid

    def shell(self, channel: int, upto: int = m.FREE_RUN) -> int:
        """An interactive bash that has shown its prompt."""
        pid = self.open(channel, "bash", "--norc", "--noprofile", "-i", upto=upto)
        self.until_text(channel, b"$ ")
        return pid

    def type(self, channel: int, data: bytes) -> None:
        self.send(m.Input(channel, data))

    def until_text(self, channel: int, text: bytes) -> None:
        self.until(lambda: text in self.output.get(channel, b""))

    def until_exit(self, channel: int) -> tuple[int, int]:
        """-> (status, signal)"""
        self.until(lambda: channel in self.exits)
        return self.exits[channel].status, self.exits[channel].signal

    def result(self, channel: int, *argv: str) -> bytes:
        """Run to its end -> what it wrote, with the PTY's line ends."""
        self.open(channel, *argv)
        self.until_exit(channel)
        return bytes(self.output.get(channel, b""))


class Agent:
    """A real agent process, outside any sandbox."""

    def __init__(self, installed: Path, path: str, env: Mapping[str, str] = {}, wrap: tuple[str, ...] = ()) -> None:
        self.process = subprocess.Popen(
            [*wrap, PYTHON, "-I", "-S", str(installed / "agent.py"), path],
            env={"PATH": "/usr/bin:/bin", **env},
            stderr=subprocess.PIPE,
        )

    def stop(self) -> str:
        """-> what it complained about"""
        self.process.kill()
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return errors.decode()


def until_gone(pid: int) -> None:
    """Wait until a process that is not our child is no more."""
    deadline = time.monotonic() + DEADLINE_S
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        assert poll.poll((deadline - time.monotonic()) * 1000), f"{pid} lives on"
    finally:
        os.close(descriptor)


def until_there(path: Path) -> None:
    """Wait until a program has made a file."""
    deadline = time.monotonic() + DEADLINE_S
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.005)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise Lost
        data += more
    return data
