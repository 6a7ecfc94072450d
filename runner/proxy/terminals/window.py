"""How many bytes may be on their way to a viewer. Pure: time is passed in."""

from math import inf
from typing import Final

QUEUE_S: Final = 0.03  # of output that waits in a link or a browser: Ctrl-C under a flood is felt after about this
MIN_WINDOW_BYTES: Final = 16 * 1024  # about a screenful: with less it would take several round trips
FIRST_WINDOW_BYTES: Final = 64 * 1024  # until a round trip is measured: one message of output
MAX_WINDOW_BYTES: Final = 256 * 1024  # QUEUE_S at 8 MiB/s; each viewer may have as much waiting in our memory
CREDIT_STEPS: Final = 4  # in which a window is granted to the agent: fewer messages


class Window:
    """Grows and shrinks so that what is unacknowledged is one round trip and QUEUE_S of what the viewer takes.

    One frame at a time is timed, from sending to its acknowledgement: what was acknowledged meanwhile, over that time,
    is the rate; the shortest such time is the round trip without a queue.
    """

    def __init__(self) -> None:
        self.size_bytes = FIRST_WINDOW_BYTES
        self._timed: tuple[int, int, float] | None = None  # offset behind the frame, acknowledged before, sent at
        self._round_trip_s = inf

    def sent(self, end: int, acknowledged: int, now_s: float) -> None:
        """A frame that ends at offset `end` goes out."""
        if self._timed is None:
            self._timed = (end, acknowledged, now_s)

    def acknowledged(self, offset: int, now_s: float) -> None:
        """Everything before `offset` is on the screen."""
        if self._timed is None or offset < self._timed[0]:
            return
        _, before, sent_s = self._timed
        self._timed = None
        took_s = max(now_s - sent_s, 1e-6)
        self._round_trip_s = min(self._round_trip_s, took_s)
        delivered = offset - before
        if 2 * delivered < self.size_bytes:
            return  # a key's echo says nothing about what the link could take
        wanted = delivered / took_s * (self._round_trip_s + QUEUE_S)
        self.size_bytes = int(min(max(wanted, MIN_WINDOW_BYTES), MAX_WINDOW_BYTES))
