"""A key at a shell's prompt until its echo, at a bare PTY, at DEVEX, at terminado and at a relay that does nothing but
pass bytes on (relays.py): the same shell, the same reader.

`python -m tests.bench.keys` reads one JSON task a line and prints one JSON answer a line, times in milliseconds:
`{"at": "bare"|"devex"|"terminado"|"relay", "keys": N, "url": "ws://…", "cookie": "…", "origin": "…", "port": N}`.
"""

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from tests.bench.bare import BarePty
from tests.bench.raw import RawSocket

INPUT, ACK, PING, OUTPUT, PONG = 1, 3, 5, 17, 21
KEY, BACKSPACE = b"x", b"\x7f"
# The same prompt everywhere, the last thing the shell says.
PLAIN_PROMPT = b"bind 'set enable-bracketed-paste off'; PS1='rea''dy> '\n"


class Terminal(Protocol):
    """One attachment, whoever serves it."""

    def type(self, data: bytes) -> None:
        """Send keys."""

    def output(self) -> bytes:
        """The next piece of output."""

    def settle(self) -> None:
        """What a page does between two keys: acknowledge what it shows, long before a person's next key."""

    def close(self) -> None:
        """Leave."""


class Bare:
    """A PTY of this very process: what is left when server, sockets and sandbox are taken away."""

    def __init__(self, _: dict[str, Any]) -> None:
        self._pty = BarePty()

    def type(self, data: bytes) -> None:
        self._pty.write(data)

    def output(self) -> bytes:
        return os.read(self._pty.master, 65536)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self._pty.close()


class Devex:
    def __init__(self, task: dict[str, Any]) -> None:
        self._socket = RawSocket(task["url"], {"Cookie": task["cookie"], "Origin": task["origin"]})
        self._rendered = 0

    def type(self, data: bytes) -> None:
        self._socket.send(bytes([INPUT]) + data)

    def output(self) -> bytes:
        while (message := self._socket.receive())[0] != OUTPUT:
            pass
        (offset,) = struct.unpack_from(">Q", message, 1)
        self._rendered = offset + len(message) - 9
        return message[9:]

    def settle(self) -> None:
        self._socket.send(bytes([ACK]) + struct.pack(">Q", self._rendered))
        self._socket.send(bytes([PING]) + bytes(4))
        while self._socket.receive()[0] != PONG:
            pass

    def close(self) -> None:
        self._socket.close()


class Terminado:
    def __init__(self, task: dict[str, Any]) -> None:
        self._socket = RawSocket(task["url"], {"Origin": task["origin"]})

    def type(self, data: bytes) -> None:
        self._socket.send(json.dumps(["stdin", data.decode()]).encode(), text=True)

    def output(self) -> bytes:
        while (message := json.loads(self._socket.receive()))[0] != "stdout":
            pass
        text: str = message[1]
        return text.encode()

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self._socket.close()


class Relay:
    def __init__(self, task: dict[str, Any]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", task["port"]))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def type(self, data: bytes) -> None:
        self._socket.send(data)

    def output(self) -> bytes:
        return self._socket.recv(65536)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self._socket.close()


def until(terminal: Terminal, text: bytes) -> None:
    """Read until `text` has come."""
    tail = b""
    while text not in tail:
        tail = tail[-len(text) :] + terminal.output()


def echoes(terminal: Terminal, keys: int) -> list[float]:
    """One key at a time; each is taken back, so that the line stays short."""
    terminal.type(PLAIN_PROMPT)
    until(terminal, b"ready> ")
    times = []
    for _ in range(keys):
        started = time.perf_counter()
        terminal.type(KEY)
        until(terminal, KEY)
        times.append((time.perf_counter() - started) * 1000)
        terminal.type(BACKSPACE)
        until(terminal, b"\b")
        terminal.settle()
    terminal.close()
    return times


PLACES: dict[str, Callable[[dict[str, Any]], Terminal]] = {
    "bare": Bare,
    "devex": Devex,
    "terminado": Terminado,
    "relay": Relay,
}


def main() -> None:
    """Answer tasks until standard input ends."""
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        print(json.dumps({"times": echoes(PLACES[task["at"]](task), task["keys"])}), flush=True)


if __name__ == "__main__":
    main()
