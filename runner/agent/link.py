"""The control connection: dialled again for ever, always read, written as far as the proxy reads."""

from __future__ import annotations

import _socket
import errno

from runner.agent.loop import BROKEN, READ, WRITE
from runner.protocol.errors import ProtocolError
from runner.protocol.frames import Decoder
from runner.protocol.messages import VERSION, Hello, Welcome, decode_from_proxy, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.agent.loop import Loop
    from runner.protocol.messages import FromAgent, FromProxy

OUT_BYTES = 128 * 1024  # unsent bytes at which terminals pause; with the socket's own buffer a few ms of a flood
FIRST_REDIAL_S = 0.01
LAST_REDIAL_S = 0.5  # a dial costs microseconds, and someone is waiting for the server to come back
_RECEIVE_BYTES = 64 * 1024


def dial_unix(path: str) -> tuple[_socket.socket | None, int]:
    """Without waiting -> (non-blocking connection, 0) or (None, errno); EAGAIN when the listener's queue is full."""
    try:
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    except OSError as error:  # out of descriptors
        return None, error.errno or errno.EMFILE
    connection.setblocking(False)
    failed = connection.connect_ex(path)
    if failed:
        connection.close()
        return None, failed
    return connection, 0


class Link:
    """`hello` makes the first message, `received` gets every message after the Welcome; `changed` is called when the
    connection is lost and when there is room again."""

    def __init__(
        self,
        loop: Loop,
        path: str,
        *,
        hello: Callable[[], Hello],
        received: Callable[[FromProxy], None],
        changed: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._path = path
        self._hello = hello
        self._received = received
        self._changed = changed
        self._socket: _socket.socket | None = None
        self._redial_s = FIRST_REDIAL_S
        self._decoder = Decoder()
        self._out = bytearray()
        self.up = False  # the proxy has answered with a Welcome
        self._is_cut = False  # it takes nothing any more; what it said before is still to be read

    @property
    def has_room(self) -> bool:
        """Whether a terminal may send now."""
        return self.up and not self._is_cut and len(self._out) < OUT_BYTES

    def dial(self) -> None:
        connection, _ = dial_unix(self._path)
        if connection is None:
            self._redial()
            return
        self._socket = connection
        self._decoder = Decoder()
        self._out = bytearray()
        self._is_cut = False
        self._loop.watch(connection.fileno(), READ, self._on_ready)
        self._write(encode(self._hello()))

    def send(self, message: FromAgent) -> None:
        """Never waits. While the link is down nothing is sent: a Hello and the Resumes that follow make up for it."""
        if self.up:
            self._write(encode(message))

    def _write(self, frame: bytes) -> None:
        if self._socket is None or self._is_cut:
            return
        sent = 0
        if not self._out:
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                pass  # full: all of it waits, below
            except OSError:
                self._cut()
                return
        if sent < len(frame):
            self._out += memoryview(frame)[sent:]
            self._loop.watch(self._socket.fileno(), READ | WRITE, self._on_ready)

    def _on_ready(self, events: int) -> None:
        if events & (READ | BROKEN):
            self._read()
        if events & WRITE and self._socket is not None and self._out:
            self._flush()

    def _read(self) -> bool:
        """Once -> whether there may be more."""
        connection = self._socket
        if connection is None:
            return False
        try:
            data = connection.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._lose()
            return False
        try:
            for kind, body in self._decoder.feed(data):
                self._accept(decode_from_proxy(kind, body))
        except ProtocolError:
            self._lose()
        return self._socket is not None

    def _accept(self, message: FromProxy) -> None:
        if self.up:
            self._received(message)
        elif isinstance(message, Welcome) and message.version == VERSION:
            self.up = True
            self._redial_s = FIRST_REDIAL_S
            self._changed()
        else:
            raise ProtocolError("the proxy speaks another version")

    def _flush(self) -> None:
        assert self._socket is not None
        had_room = self.has_room
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except OSError:
            self._cut()
            return
        del self._out[:sent]
        if not self._out:
            self._loop.watch(self._socket.fileno(), READ, self._on_ready)
        if self.has_room and not had_room:
            self._changed()

    def _cut(self) -> None:
        """Losing the link detaches terminals, which may be the ones that are sending: not below them."""
        self._is_cut = True
        self._loop.later(0, self._read_out)

    def _read_out(self) -> None:
        """Keys that a proxy sent before it was killed count as typed there: what has arrived is done."""
        while self._read():
            pass
        self._lose()

    def _lose(self) -> None:
        if self._socket is None:
            return
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self.up = False
        self._changed()
        self._redial()

    def _redial(self) -> None:
        self._loop.later(self._redial_s, self.dial)
        self._redial_s = min(LAST_REDIAL_S, self._redial_s * 2)
