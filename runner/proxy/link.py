"""The socket the agent dials: who may speak on it, for how long and how much. The other end is user code.

Protocols and not streams, because a key's echo must not wait for a task, and a length is checked before it is believed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Final, Self, cast

from runner.peer import peer_uid
from runner.protocol.errors import ProtocolError
from runner.protocol.frames import HEADER_BYTES, Decoder, parse_header
from runner.protocol.messages import (
    MAX_HELLO_BYTES,
    VERSION,
    FromAgent,
    FromProxy,
    Hello,
    Output,
    Stream,
    Welcome,
    decode_from_agent,
    encode,
    kind_of,
)
from runner.proxy.budget import Budget

FIRST_FRAME_S: Final = 5.0  # an agent says Hello when it dials; who says nothing holds a descriptor of ours
MAX_UNKNOWN: Final = 128  # connections that have not said what they are; an agent dials one at a time
BACKLOG: Final = MAX_UNKNOWN  # more would be sent away
FRAMES_A_TURN: Final = 256  # handled before anybody else has a turn: about a millisecond
UNSENT_BYTES: Final = 256 * 1024  # to an agent that does not read, before viewers are held up
STUCK_S: Final = 10.0  # an agent that reads nothing for this long is cut off; an honest one dials again
GONE_S: Final = 10.0  # an agent that has not come back by then is not coming: its programs have ended
REDIAL_S: Final = 0.005  # an honest agent waits longer before it dials again
_OUTPUT: Final = kind_of(Output)

log = logging.getLogger(__name__)


class AgentLink:
    """`async with`. `on_hello` when an agent has introduced itself (it is welcomed already), `on_message` for all after
    it, `on_lost` when it is away, `on_gone` when it has not come back, `on_stream` for relayed connections: whoever
    takes one returns True. All synchronous; a ProtocolError from them closes the connection."""

    def __init__(
        self,
        path: Path,
        uid: int,
        *,
        on_hello: Callable[[Hello], None],
        on_message: Callable[[FromAgent], None],
        on_lost: Callable[[], None],
        on_gone: Callable[[], None],
        on_stream: Callable[[Stream, asyncio.Transport, bytes], bool],
    ) -> None:
        self._path = path
        self._uid = uid
        self.on_hello = on_hello
        self.on_message = on_message
        self.on_lost = on_lost
        self.on_gone = on_gone
        self.on_stream = on_stream
        self.ready = asyncio.Event()  # an agent is connected
        self.writable = asyncio.Event()  # and reads
        self._control: _Control | None = None
        self._lost_s = -inf
        self._gone: asyncio.TimerHandle | None = None
        self._unknown: set[_FirstFrame] = set()
        self._server: asyncio.Server | None = None
        self._has_left = False

    async def __aenter__(self) -> Self:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._path))
            self._path.chmod(0o666)  # the agent's uid differs; who dials is checked by its credentials
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(lambda: _FirstFrame(self), sock=listener, backlog=BACKLOG)
        except BaseException:
            listener.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._has_left = True
        self._forget_gone()
        self._server.close()
        control, self._control = self._control, None  # not lost: left
        self.ready.clear()
        self.writable.set()  # whoever waits shall find that nobody is there
        for connection in (*self._unknown, control):
            if connection:
                connection.close()
        await self._server.wait_closed()

    @property
    def connected(self) -> bool:
        return self._control is not None

    def send(self, message: FromProxy) -> None:
        """Never waits. Without an agent nothing is sent: its next Hello settles what is to be said again."""
        if self._control:
            self._control.write(encode(message))

    # Called by the connections

    def admits(self, connection: "_FirstFrame", transport: asyncio.BaseTransport) -> bool:
        uid = peer_uid(transport)
        if uid != self._uid:
            log.warning("uid %d dialled the agent's socket of uid %d", uid, self._uid)
            return False
        if self._has_left or len(self._unknown) >= MAX_UNKNOWN:  # the loop tells late of whom it accepted
            return False
        self._unknown.add(connection)
        return True

    def dismissed(self, connection: "_FirstFrame") -> None:
        self._unknown.discard(connection)

    def introduced(self, hello: Hello, transport: asyncio.Transport, rest: bytes) -> None:
        if hello.version != VERSION or self._control is not None:
            raise ProtocolError("another version, or a second agent")
        if asyncio.get_running_loop().time() - self._lost_s < REDIAL_S:
            raise ProtocolError("dialled again at once")
        self._forget_gone()
        control = self._control = _Control(self, transport)
        transport.set_protocol(control)
        transport.set_write_buffer_limits(high=UNSENT_BYTES)
        control.write(encode(Welcome(VERSION)))
        self.ready.set()
        self.writable.set()
        try:
            self.on_hello(hello)
        except ProtocolError:
            control.close()
            raise
        if rest:
            control.data_received(rest)

    def lost(self, control: "_Control") -> None:
        if self._control is control:
            self._control = None
            loop = asyncio.get_running_loop()
            self._lost_s = loop.time()
            self._gone = loop.call_later(GONE_S, self.on_gone)
            self.ready.clear()
            self.writable.set()  # whoever waits shall find that nobody is there
            self.on_lost()

    def _forget_gone(self) -> None:
        if self._gone:
            self._gone.cancel()
            self._gone = None


class _FirstFrame(asyncio.Protocol):
    """A new connection, until it has said Hello or Stream."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by class
        if not self._link.admits(self, transport):
            self._transport.abort()
            return
        self._deadline = asyncio.get_running_loop().call_later(FIRST_FRAME_S, self.close)

    def data_received(self, data: bytes) -> None:
        self._data += data
        try:
            self._read()
        except ProtocolError as error:
            log.debug("a connection to the agent's socket is closed: %s", error)  # programs must not fill the log
            self.close()

    def _read(self) -> None:
        if self._deadline is None or len(self._data) < HEADER_BYTES:
            return
        kind, length = parse_header(self._data[:HEADER_BYTES], MAX_HELLO_BYTES + 1)
        end = HEADER_BYTES + length
        if len(self._data) < end:
            return
        self._forget()
        message = decode_from_agent(kind, self._data[HEADER_BYTES:end])
        transport, rest = self._transport, self._data[end:]
        assert transport
        match message:
            case Hello():
                self._link.introduced(message, transport, rest)
            case Stream():
                if not self._link.on_stream(message, transport, rest):
                    transport.abort()
            case _:
                raise ProtocolError("neither Hello nor Stream")

    def _forget(self) -> None:
        self._link.dismissed(self)
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def close(self) -> None:
        self._forget()
        if self._transport:
            self._transport.abort()


class _Control(asyncio.Protocol):
    """The control connection. Handled in turns, and left alone for a while when the sandbox has spent its budget."""

    def __init__(self, link: AgentLink, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._transport = transport
        self._decoder = Decoder()
        self._budget = Budget(self._loop.time())
        self._frames: list[tuple[int, bytes]] = []  # received and not yet handled
        self._turn: asyncio.Handle | None = None
        self._stuck: asyncio.TimerHandle | None = None

    def write(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(frame)

    def data_received(self, data: bytes) -> None:
        try:
            self._frames += self._decoder.feed(data)
        except ProtocolError as error:
            self._cut_off(error)
            return
        if self._turn is None:
            self._read()

    def _read(self) -> None:
        """Some frames now; the others later, and nothing more is received until then."""
        was_paused, self._turn = self._turn is not None, None
        frames, self._frames = self._frames[:FRAMES_A_TURN], self._frames[FRAMES_A_TURN:]
        output_bytes = field_bytes = 0
        try:
            for kind, body in frames:
                if kind == _OUTPUT:
                    output_bytes += len(body)
                else:
                    field_bytes += len(body)
                self._link.on_message(decode_from_agent(kind, body))
        except ProtocolError as error:
            self._cut_off(error)
            return
        if self._transport.is_closing():
            return
        wait_s = self._budget.spend(len(frames), output_bytes, field_bytes, self._loop.time())
        if wait_s:
            self._turn = self._loop.call_later(wait_s, self._read)
        elif self._frames:
            self._turn = self._loop.call_soon(self._read)
        if self._turn and not was_paused:
            self._transport.pause_reading()
        elif was_paused and not self._turn:
            self._transport.resume_reading()

    def _cut_off(self, error: ProtocolError) -> None:
        log.debug("the agent is cut off: %s", error)  # 200 times a second, if programs like
        self.close()

    def pause_writing(self) -> None:
        self._link.writable.clear()
        self._stuck = self._loop.call_later(STUCK_S, self.close)

    def resume_writing(self) -> None:
        self._link.writable.set()
        if self._stuck:
            self._stuck.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._turn, self._stuck):
            if timer:
                timer.cancel()
        self._frames.clear()
        self._link.lost(self)

    def close(self) -> None:
        self._transport.abort()
        self._link.lost(self)  # now: what is sent until `connection_lost` is called would go nowhere
