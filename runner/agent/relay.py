"""Byte streams: a TCP connection in the sandbox on one side, a unix connection to the trusted side on the other."""

from __future__ import annotations

import _socket
import errno
import select
import time

from runner.agent.link import dial_unix
from runner.agent.loop import READ, WRITE
from runner.protocol.messages import Stream, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.agent.loop import Loop

    Connection = _socket.socket

PIPE_BYTES = 256 * 1024  # read ahead of a slow receiver, per direction
LINGER_S = 1.0  # for an upload that nobody takes any more, after its answer: its sender reads that and leaves
CONNECT_S = 5.0  # the proxy gives a stream no longer
_RETRY_S = 0.01
_LOOPBACKS = ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1"))
_HUNG_UP = select.POLLHUP | select.POLLERR


class Pipe:
    """One direction. Its end of file is passed on when everything before it is.

    A sink that takes no more is `refusing`: what still comes is thrown away, so that whoever sends it gets so far as to
    read the answer ("too large") that came the other way.
    """

    def __init__(self, source: Connection, sink: Connection) -> None:
        self._source = source
        self._sink = sink
        self._buffer = bytearray()
        self._ended = False
        self.refusing = False
        self.done = False

    @property
    def wants_source(self) -> bool:
        return not self._ended and len(self._buffer) < PIPE_BYTES

    @property
    def wants_sink(self) -> bool:
        return bool(self._buffer)

    def refuse(self) -> None:
        """The sink takes no more."""
        self._buffer.clear()
        self.refusing = True
        self.done = self._ended

    def abandon(self) -> None:
        """The sink is gone, and with it everybody who could have read an answer."""
        self._buffer.clear()
        self._ended = self.done = True

    def move(self) -> None:
        """Read once and write once, as far as both go without waiting."""
        data = b""
        if self.wants_source:
            try:
                data = self._source.recv(PIPE_BYTES)
                self._ended = not data
            except BlockingIOError:
                pass  # nothing has come
            except OSError:  # reset; what came before it is passed on
                self._ended = True
        if self.refusing:
            self.done = self._ended
            return
        try:
            self._send(data)
        except OSError:
            self.refuse()

    def _send(self, data: bytes) -> None:
        try:
            if self._buffer:
                del self._buffer[: self._sink.send(self._buffer)]
            elif data:
                data = data[self._sink.send(data) :]
        except BlockingIOError:
            pass  # full: it waits in the buffer
        self._buffer += data
        if self._ended and not self._buffer and not self.done:
            self.done = True
            self._sink.shutdown(_socket.SHUT_WR)


class Relay:
    """Two pipes between two connections, both owned and closed here. `closed()` is called once."""

    def __init__(self, loop: Loop, left: Connection, right: Connection, closed: Callable[[], None]) -> None:
        self._loop = loop
        self._left = left
        self._right = right
        self._closed = closed
        self._to_right = Pipe(left, right)
        self._to_left = Pipe(right, left)
        self._gone: set[int] = set()  # descriptors that hung up: poll would report nothing else any more
        self._is_open = True
        self._lingers = False
        self._move()

    def _on_left(self, events: int) -> None:
        if events & _HUNG_UP and not self._to_right.wants_source:
            self._gone.add(self._left.fileno())
            self._to_left.abandon()
        self._move()

    def _on_right(self, events: int) -> None:
        if events & _HUNG_UP and not self._to_left.wants_source:
            self._gone.add(self._right.fileno())
            self._to_right.refuse()
        self._move()

    def _move(self) -> None:
        pipes = (self._to_right, self._to_left)
        for pipe in pipes:
            if not pipe.done:
                pipe.move()
        if all(pipe.done for pipe in pipes):
            self.close()
            return
        if not self._lingers and all(pipe.done or pipe.refusing for pipe in pipes):
            self._lingers = True
            self._loop.later(LINGER_S, self.close)
        self._watch(self._left, self._to_right, self._to_left, self._on_left)
        self._watch(self._right, self._to_left, self._to_right, self._on_right)

    def _watch(self, connection: Connection, outward: Pipe, inward: Pipe, ready: Callable[[int], None]) -> None:
        descriptor = connection.fileno()
        events = (READ if outward.wants_source else 0) | (WRITE if inward.wants_sink else 0)
        if events or descriptor not in self._gone:
            self._loop.watch(descriptor, events, ready)
        else:
            self._loop.forget(descriptor)

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        for connection in (self._left, self._right):
            self._loop.forget(connection.fileno())
            connection.close()
        self._closed()


class Dialing:
    """A Connect on its way: dial the port, then the proxy, and introduce the stream by its id."""

    def __init__(self, loop: Loop, path: str, stream: int, port: int, closed: Callable[[], None]) -> None:
        """`closed` is called once: when nothing came of it, or when the relay has ended."""
        self._loop = loop
        self._path = path
        self._stream = stream
        self._port = port
        self._closed = closed
        self._deadline = time.monotonic() + CONNECT_S
        self._addresses = list(_LOOPBACKS)
        self._next()

    def _next(self) -> None:
        if not self._addresses:
            self._introduce(None)
            return
        family, host = self._addresses.pop(0)
        try:
            connection = _socket.socket(family, _socket.SOCK_STREAM)
        except OSError:  # no IPv6 here, or out of descriptors
            self._next()
            return
        connection.setblocking(False)
        error = connection.connect_ex((host, self._port))
        if error == errno.EINPROGRESS:
            self._loop.watch(connection.fileno(), WRITE, lambda events: self._connected(connection))
        elif error:
            connection.close()
            self._next()
        else:
            self._introduce(connection)

    def _connected(self, connection: Connection) -> None:
        self._loop.forget(connection.fileno())
        if connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR):
            connection.close()
            self._next()
        else:
            self._introduce(connection)

    def _introduce(self, connection: Connection | None) -> None:
        """Dial the proxy and send the Stream frame, refusing when there is no `connection`."""
        to_proxy, error = dial_unix(self._path)
        if to_proxy is None:
            if error == errno.EAGAIN and time.monotonic() < self._deadline:  # its queue is full for the moment
                self._loop.later(_RETRY_S, lambda: self._introduce(connection))
                return
            self._give_up(connection)
            return
        try:
            to_proxy.send(encode(Stream(self._stream, connection is not None)))
        except OSError:
            to_proxy.close()
            self._give_up(connection)
            return
        if connection is None:
            to_proxy.close()
            self._closed()
            return
        connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        Relay(self._loop, to_proxy, connection, self._closed)

    def _give_up(self, connection: Connection | None) -> None:
        if connection is not None:
            connection.close()
        self._closed()
