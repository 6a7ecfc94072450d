"""The control plane's end of a link's socket: what a pod sends at once is handled in pieces.

The library's handles all that was read before anybody else has a turn: a hundred thousand frames in a quarter of a MiB.
"""

import asyncio
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.protocol import Event

from runner.forwarding import wire
from runner.time_slices import TimeSlices

PIECE_BYTES: Final = 1024  # at most some five hundred frames, a few milliseconds
FRAMES_A_TURN: Final = 16  # only tiny frames are that many: one of a body is as long as all that is read at once
UNSENT_MOST_BYTES: Final = 4 * wire.FRAME_MOST_BYTES  # a pod that pings, and reads no pongs, is left


class MeteredConnection(ClientConnection):
    """Reads no further while something waits, for its turn or for whoever takes the messages."""

    def __init__(self, *arguments: Any, slices: TimeSlices, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._slices = slices
        self._waiting = bytearray()
        self._frames = 0
        self._full = False  # of messages that nobody has taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.recv_messages.pause = self._pause
        self.recv_messages.resume = self._resume

    def data_received(self, data: bytes) -> None:
        waited = bool(self._waiting)
        self._waiting += data
        if not waited and (self._slices.busy or self.next_piece()):
            self.transport.pause_reading()
            self._slices.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.clear()
        super().connection_lost(exc)

    def process_event(self, event: Event) -> None:
        self._frames += 1
        super().process_event(event)

    def next_piece(self) -> bool:
        """See `TimeSlices`."""
        at, before = 0, self._frames
        while at < len(self._waiting) and not self._full and self._frames < before + FRAMES_A_TURN:
            super().data_received(bytes(self._waiting[at : at + PIECE_BYTES]))
            at += PIECE_BYTES
        del self._waiting[:at]
        if self.transport.get_write_buffer_size() > UNSENT_MOST_BYTES:
            self.transport.abort()
        if self.transport.is_closing():
            return False
        if self._waiting or self._full:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
        return bool(self._waiting) and not self._full

    def _pause(self) -> None:
        self._full = True

    def _resume(self) -> None:
        self._full = False
        if self._waiting:
            self._slices.add(self)
        elif not self.transport.is_closing():
            self.transport.resume_reading()
