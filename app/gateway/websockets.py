"""One client's WebSocket: what it sends at once is handled in pieces, so that nobody holds up the others.

uvicorn's protocol handles all that was read before anybody else has a turn: 40,000 frames in a quarter of a MiB, from
anybody, for NiceGUI's socket opens before the page's user is known.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.protocol import State

from runner.direct import EXTENSION, Direct
from runner.time_slices import TimeSlices

PIECE_BYTES = 512  # at most some eighty frames, about a millisecond; keys and clicks are smaller
PARTS_MOST = 1024  # of one message: browsers send one, and empty ones would not count as bytes
ANYBODYS = ("/_nicegui_ws/", "/diagnose/")  # sockets that open before anybody is known
ANYBODYS_MOST_BYTES = 256 * 1024  # one message to them: clicks and the text of a field; it is held whole


class WebSocket(WebSocketsSansIOProtocol):
    """Reads no further while something waits, for its turn or for the application. Offers `runner.direct.Direct`."""

    on_message: Callable[[bytes], bool] | None = None

    def __init__(self, *arguments: Any, slices: TimeSlices, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._slices = slices
        self._waiting = bytearray()
        self._is_asked = False  # by the application, for a message
        self._extensions: dict[str, Any] = {}  # of the scope

    def handle_connect(self, event: Request) -> None:
        if unquote(event.path).startswith(ANYBODYS):
            self.conn.max_message_size = ANYBODYS_MOST_BYTES
        super().handle_connect(event)
        if not self.close_sent:  # by a refusal
            offered: Direct = self
            self._extensions = {**(self.scope["extensions"] or {}), EXTENSION: offered}
            self.scope["extensions"] = self._extensions

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
        elif self._waiting:
            self._wait(data)
        else:
            super().data_received(data[:PIECE_BYTES])
            if len(data) > PIECE_BYTES:
                self._wait(data[PIECE_BYTES:])

    def send_receive_event_to_app(self) -> None:
        if not self._takes_at_once():
            super().send_receive_event_to_app()

    def _takes_at_once(self) -> bool:
        if self.on_message is None or not self._is_asked or self.read_paused or self.close_sent:
            return False
        if self.curr_msg_data_type != "bytes" or len(self.frames) != 1 or not self.on_message(self.frames[0]):
            return False
        self.frames = []
        return True

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > PARTS_MOST:
            self.frames = []
            if not self.close_sent:
                self.conn.send_close(CloseCode.MESSAGE_TOO_BIG)
            self.handle_parser_exception()

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.clear()
        self.on_message = None  # it knows the application, which knows us
        self._extensions.clear()  # they know us, too: nobody shall wait for the garbage collector
        super().connection_lost(exc)

    async def receive(self) -> ASGIReceiveEvent:
        self._is_asked = True
        try:
            message = await super().receive()
        finally:
            self._is_asked = False
        if self._waiting:
            self._wait(b"")
        return message

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # by a refusal, which uvicorn would log as a fault

    @property
    def is_writable(self) -> bool:
        return self.writable.is_set() and self.conn.state is State.OPEN and not self.transport.is_closing()

    def send_now(self, message: bytes) -> None:
        self.conn.send_binary(message)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def next_piece(self) -> bool:
        """Whether it is to come again."""
        piece = bytes(self._waiting[:PIECE_BYTES])
        del self._waiting[:PIECE_BYTES]
        if self.transport.is_closing():
            return False
        super().data_received(piece)
        if not self._waiting and not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()
        return bool(self._waiting) and not self.read_paused

    def _wait(self, data: bytes) -> None:
        self._waiting += data
        if not self.transport.is_closing():
            self.transport.pause_reading()
        if not self.read_paused:  # else the application takes what it has first: `receive` comes here afterwards
            self._slices.add(self)
