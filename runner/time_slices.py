"""Whoever sends much at once is handled piece by piece, so that nobody holds up the others."""

import asyncio
import logging
from typing import Final, Protocol

SLICE_S: Final = 0.002  # for what waits, of all sockets; then the others have as long

log = logging.getLogger(__name__)


class Sender(Protocol):
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def transport(self) -> asyncio.Transport: ...

    def next_piece(self) -> bool:
        """Handles a piece of what waits. Whether it is to come again."""


class TimeSlices:
    """Sockets that have sent much: a piece of each after the other, and no more than half of the time."""

    def __init__(self) -> None:
        self._sockets: dict[Sender, None] = {}  # the one that has waited longest first
        self._used_s = 0.0

    @property
    def busy(self) -> bool:
        return bool(self._sockets)

    def add(self, socket: Sender) -> None:
        if not self._sockets:  # else one is on its way
            socket.loop.call_soon(self._next)
        self._sockets[socket] = None

    def _next(self) -> None:
        socket = next(iter(self._sockets))
        loop = socket.loop
        begun_s = loop.time()
        try:
            again = socket.next_piece()
        except Exception:  # as the loop does where there are no slices: the others' do not end with it
            log.exception("what was sent at once is not understood")
            socket.transport.abort()
            again = False
        self._used_s += loop.time() - begun_s
        del self._sockets[socket]
        if again:
            self._sockets[socket] = None
        if self._sockets and self._used_s < SLICE_S:
            loop.call_soon(self._next)
        elif self._sockets:
            loop.call_later(self._used_s, self._next)
            self._used_s = 0.0
