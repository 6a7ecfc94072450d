"""What a terminal has written, and how much of it may go out. No descriptors here.

Attached, no more is taken in before everything is sent, up to the credit; otherwise it is taken into the ring, whose
oldest bytes go.
"""

from __future__ import annotations

from runner.protocol.messages import INITIAL_CREDIT_BYTES, MAX_OUTPUT_BYTES
from runner.protocol.ring import Ring


class Outflow:
    """`attached`: a proxy is there and has said from where on it wants the output (Open or Resume)."""

    def __init__(self) -> None:
        self.ring = Ring()
        self.attached = True
        self._sent = 0
        self._credit = INITIAL_CREDIT_BYTES
        self._owed = 0  # up to here in any case: see _pass_over

    @property
    def is_sent(self) -> bool:
        """Whether the proxy has got everything."""
        return self.attached and self._sent == self.ring.end

    def append(self, data: bytes) -> None:
        self.ring.append(self.ring.end, data)
        if self._sent < self.ring.start:
            self._pass_over()

    def grant(self, upto: int) -> None:
        """Set, not raised: a proxy that ends a free run takes credit back."""
        self._credit = upto

    def attach(self, after: int) -> None:
        """Send again from offset `after`, or from where the ring starts or ends."""
        self.attached = True
        self._sent = min(after, self.ring.end)
        self._owed = 0
        if self._sent < self.ring.start:
            self._pass_over()
        self._credit = self._sent + INITIAL_CREDIT_BYTES

    def detach(self) -> None:
        """The proxy is gone: run freely into the ring."""
        self.attached = False

    def room_bytes(self, link_has_room: bool) -> int:
        """How much may be taken in now; nothing when it is not positive."""
        if not self.attached:
            return MAX_OUTPUT_BYTES
        if self._sent < self.ring.end or not link_has_room:
            return 0
        return min(MAX_OUTPUT_BYTES, self._credit - self.ring.end)

    def next_piece(self) -> tuple[int, bytes] | None:
        """(offset, data) of the next Output, counted as sent; None when there is none for now."""
        limit_bytes = min(MAX_OUTPUT_BYTES, max(self._credit, self._owed) - self._sent)
        data = self.ring.read(self._sent, limit_bytes) if self.attached and limit_bytes > 0 else b""
        if not data:
            return None
        offset, self._sent = self._sent, self._sent + len(data)
        return offset, data

    def _pass_over(self) -> None:
        """Bytes are gone that the proxy waits for, and it may grant nothing behind them: one byte tells it."""
        self._sent = self.ring.start
        self._owed = self._sent + 1
