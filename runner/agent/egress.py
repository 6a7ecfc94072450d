"""The way out: a loopback port that is relayed to a trusted CONNECT proxy's unix socket, which decides where to."""

from __future__ import annotations

import _socket

from runner.agent.link import dial_unix
from runner.agent.loop import READ
from runner.agent.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.agent.loop import Loop

VARIABLE = "DEVEX_EGRESS"  # PORT:SOCKET_PATH; programs find the port through http_proxy and https_proxy
MAX_CONNECTIONS = 128  # two descriptors each
_BACKLOG = 64
_RETRY_S = 0.1


class Egress:
    """Listens from construction on. OSError, ValueError when it cannot."""

    def __init__(self, loop: Loop, setting: str) -> None:
        port, _, self._path = setting.partition(":")
        self.port = int(port)
        self._loop = loop
        self._open = 0
        self._listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self._listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(_BACKLOG)
        self._watch()

    def _watch(self) -> None:
        """At the limit the kernel's queue holds what comes."""
        if self._open < MAX_CONNECTIONS:
            self._loop.watch(self._listener.fileno(), READ, self._accept)
        else:
            self._loop.forget(self._listener.fileno())

    def _accept(self, events: int) -> None:
        try:
            descriptor, _ = self._listener._accept()  # type: ignore[attr-defined]  # typeshed has it one class up
        except BlockingIOError:
            return
        except OSError:  # out of descriptors: poll would call again at once, and for ever
            self._loop.forget(self._listener.fileno())
            self._loop.later(_RETRY_S, self._watch)
            return
        program = _socket.socket(fileno=descriptor)
        program.setblocking(False)
        program.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        trusted, _ = dial_unix(self._path)
        if trusted is None:
            program.close()
            return
        self._open += 1
        self._watch()
        Relay(self._loop, trusted, program, self._closed)

    def _closed(self) -> None:
        self._open -= 1
        self._watch()
