"""One viewer of a terminal: how much of the output it has, what it was told, what it is told next. No sockets here."""

import asyncio
import time
from typing import TYPE_CHECKING, Final

from runner.direct import Direct
from runner.proxy.terminals import wire
from runner.proxy.terminals.people import ALONE
from runner.proxy.terminals.typed import Typed
from runner.proxy.terminals.window import MIN_WINDOW_BYTES, Window
from runner.viewer import Viewer

if TYPE_CHECKING:
    from runner.proxy.terminals.exits import Exit
    from runner.proxy.terminals.terminal import Terminal

PIECE_BYTES: Final = 64 * 1024  # of output in one message to a browser
SCREEN_BYTES: Final = 16 * 1024  # what a viewer that fell behind is still shown: about a screenful
GATHERED_BYTES: Final = 16 * 1024  # a PTY gives 4 KiB at a time: the page has four times fewer messages
GATHER_S: Final = 0.002  # for which less waits, behind as much that the page has not drawn yet: nobody sees it
TELL_TAKEN_BYTES: Final = 16 * 1024  # taken since the page was told: tell it; it stops at 64 KiB (typed.mjs)


class Attachment:
    """One viewer. `next_frame` decides what it is sent; `wake` is set while there may be something."""

    def __init__(
        self, terminal: "Terminal", after: int, viewer: Viewer, person: int, typed: Typed | None = None
    ) -> None:
        ring = terminal.ring
        self.viewer = viewer
        self.person = person  # their number on this terminal
        self.wake = asyncio.Event()
        self.wake.set()
        self.direct: Direct | None = None  # a way to send without waking anybody
        self.window = Window()
        self.size: tuple[int, int] | None = None  # what its window shows; None while it is hidden
        self.stalled = False
        self.sent = min(max(after, ring.start), max(ring.end, terminal.known_end))
        self.acknowledged = self.sent
        self.progress_s = time.monotonic()
        self.seen_before = terminal.rendered  # up to here it shows again what somebody has seen
        self._terminal = terminal
        self.has_skipped = False  # output, since its screen was last known to be right
        self._gap = (after, self.sent) if after != self.sent else None
        self._modes = b""
        self._gathering: asyncio.TimerHandle | None = None
        self._ready = True
        self._told_size = terminal.size
        self._told_people = ALONE
        self._told_exit: Exit | None = None
        self._refused: dict[str, str | int | None] | None = None
        self._refused_bytes = 0
        self._pong: int | None = None
        self._typed = typed
        self._told_taken = self.taken
        if typed:
            typed.by = self

    @property
    def can_write(self) -> bool:
        """Otherwise they may only look."""
        return self.viewer.can_write

    @property
    def taken(self) -> int | None:
        """How many bytes of INPUT of its page were taken; None for one that does not count."""
        return self._typed.taken if self._typed else None

    @property
    def _untold_bytes(self) -> int:
        return (self.taken or 0) - (self._told_taken or 0)

    @property
    def upto(self) -> int:
        """The offset up to which it takes output."""
        return self.acknowledged + self.window.size_bytes

    @property
    def _unacknowledged_bytes(self) -> int:
        return self.sent - self.acknowledged

    @property
    def waiting(self) -> bool:
        """Whether something is unacknowledged."""
        return self._unacknowledged_bytes > 0

    @property
    def is_live(self) -> bool:
        """Whether it shows everything there is."""
        return not self.waiting and self.sent == self._terminal.ring.end

    @property
    def _is_behind(self) -> bool:
        """Whether what comes next for it has left the ring."""
        return self.sent < self._terminal.ring.start

    def take(self, count: int) -> bool:
        """Whether INPUT of `count` bytes is new; it is taken then, even if it is refused.

        Not each key is told so, but with the answer to a ping and when much is not told: a key is one message each way.
        """
        if self._typed is None:
            return True
        if self._typed.by is not self:
            return False
        self._typed.taken += count
        if self._untold_bytes >= TELL_TAKEN_BYTES:
            self.wake.set()
        return True

    def pong(self, n: int) -> None:
        """Only the last ping is answered: a flood of them fills nothing."""
        self._pong = n
        self.wake.set()

    def refuse(self, count: int, holder: int | None) -> None:
        """Tell that keys (`count` bytes) were not typed: this viewer may only look, or it is `holder`'s turn."""
        self._refused_bytes += count
        why = "turn" if self.can_write else "read_only"
        self._refused = {"why": why, "by": holder, "bytes": self._refused_bytes}
        self.wake.set()

    def acknowledge(self, offset: int) -> None:
        """Everything before `offset` is on the screen."""
        if not self.acknowledged < offset <= self.sent:
            return
        now_s = time.monotonic()
        self.acknowledged = offset
        self.progress_s = now_s
        self.stalled = False
        self.window.acknowledged(offset, now_s)
        self.wake.set()

    def more_output(self) -> None:
        """The ring has more. A key's echo goes at once, if nothing before it is unacknowledged; what comes in floods
        goes when others have had their turn.
        """
        direct = None if self.waiting or self.wake.is_set() else self.direct
        if direct and direct.is_writable and (frame := self.next_frame()):
            direct.send_now(frame)
        if self.sent >= self._terminal.ring.end:
            return
        is_flooded = self._unacknowledged_bytes >= GATHERED_BYTES
        if not is_flooded or self._terminal.ring.end - self.sent >= GATHERED_BYTES:
            self.wake.set()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self.wake.set()

    def next_frame(self) -> bytes | None:
        """The next message, None when there is nothing to say for now."""
        terminal = self._terminal
        if self._ready:
            self._ready = False
            return terminal.introduction(self)
        if self._told_people != terminal.people.told:
            self._told_people = terminal.people.told
            return self._told_people
        if self._told_size != terminal.size:
            self._told_size = terminal.size
            return wire.size(*terminal.size)
        if self._refused:
            refused, self._refused = self._refused, None
            return wire.refused(refused)
        if self._untold_bytes >= (TELL_TAKEN_BYTES if self._pong is None else 1):
            self._told_taken = self.taken
            return wire.taken(self._told_taken or 0)
        if self._pong is not None:
            n, self._pong = self._pong, None
            return wire.pong(n)
        if self._is_behind and not self.waiting:  # else it may never take what it was sent, and gets no more
            lost_from = self._gap[0] if self._gap else self.sent
            self.sent = self.acknowledged = max(terminal.ring.start, terminal.ring.end - SCREEN_BYTES)
            self._gap = (lost_from, self.sent)
        if self._gap:
            gap, self._gap = self._gap, None
            self.has_skipped = gap[0] < gap[1]
            self._modes = terminal.modes.at(gap[1]).restoring() if self.has_skipped else b""
            return wire.gap(*gap)
        if self._modes:
            modes, self._modes = self._modes, b""
            return wire.modes(modes)
        return self._output() or self._exit()

    def _output(self) -> bytes | None:
        ring = self._terminal.ring
        available = min(ring.end - self.sent, PIECE_BYTES)
        allowed = self.upto - self.sent
        if self._is_behind or available <= 0:
            return None
        if allowed < min(available, MIN_WINDOW_BYTES):  # no crumbs: an acknowledgement is on its way
            return None
        data = ring.read(self.sent, min(available, allowed))
        now_s = time.monotonic()
        if not self.waiting:
            self.progress_s = now_s
        frame = wire.output(self.sent, data)
        self.sent += len(data)
        self.window.sent(self.sent, self.acknowledged, now_s)
        return frame

    def _exit(self) -> bytes | None:
        told = self._terminal.exit
        if told is None or told == self._told_exit or self.sent < self._terminal.ring.end:
            return None
        self._told_exit = told
        return wire.exited({**told.json(), "duration_s": self._terminal.duration_s})
