"""One exec, a program of a script, as the proxy knows it: what it wrote and nobody took yet, what it was sent and has
not taken, its time limit and its end. No sockets here.
"""

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from runner.protocol.errors import ProtocolError
from runner.protocol.frames import Decoder
from runner.protocol.messages import (
    INITIAL_CREDIT_BYTES,
    MAX_INPUT_BYTES,
    MAX_OUTPUT_BYTES,
    STDERR,
    STDOUT,
    Credit,
    EndInput,
    FromProxy,
    Input,
    Resize,
    Resume,
    Signal,
)
from runner.proxy.terminals.exits import KILL_S, LOST, TERM_S, Exit
from runner.proxy.terminals.screen import clamp
from runner.proxy.terminals.window import CREDIT_STEPS, Window

PIECE_BYTES: Final = 64 * 1024  # of output taken at once
INPUT_WINDOW_BYTES: Final = 256 * 1024  # held here and in the agent for a program that does not read


class TooMuchInput(Exception):
    """More than the credit for it."""


class Exec:
    """`send` tells the agent; `wake` is set when there may be something to take, to say or to send."""

    def __init__(self, channel: int, name: str, *, tty: bool, send: Callable[[FromProxy], None]) -> None:
        self.channel = channel
        self.name = name
        self.exit: Exit | None = None
        self.left = False  # the server stops
        self.timed_out = False
        self.started_s = time.monotonic()
        self.duration_s: float | None = None
        self.wake = asyncio.Event()
        self._roomier = asyncio.Event()
        self._tty = tty
        self._send = send
        self._decoder = Decoder(MAX_OUTPUT_BYTES)
        self._window = Window()
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._received = 0  # as the agent counts, headers of frames too
        self._granted = INITIAL_CREDIT_BYTES
        self._came = self._took = self._acknowledged = 0  # bytes of output
        self._input = bytearray()  # sent, and not known to be taken
        self._taken = 0
        self._input_ended = False
        self._resuming = False
        self._owes_resume = False
        self._limit: asyncio.TimerHandle | None = None

    # What the script does

    @property
    def is_over(self) -> bool:
        """It has ended, and everything is taken."""
        return (self.exit is not None or self.left) and not self._pieces

    @property
    def is_acknowledged(self) -> bool:
        """The script has everything that was taken."""
        return self._acknowledged == self._took

    @property
    def input_upto(self) -> int:
        """How many bytes of input may be sent in all."""
        return self._taken + INPUT_WINDOW_BYTES

    def take(self) -> tuple[int, bytes] | None:
        """(STDOUT or STDERR, what it wrote next); None when there is nothing for now."""
        if not self._pieces:
            return None
        kind, data = self._pieces.popleft()
        joined = [data]
        size = len(data)
        while self._pieces and self._pieces[0][0] == kind and size + len(self._pieces[0][1]) <= PIECE_BYTES:
            joined.append(self._pieces.popleft()[1])
            size += len(joined[-1])
        self._took += size
        self._window.sent(self._took, self._acknowledged, time.monotonic())
        return kind, b"".join(joined)

    def acknowledge(self, upto: int | None = None) -> None:
        """The script has so many bytes of output; None: all that was taken here."""
        upto = self._took if upto is None else upto
        if self._acknowledged < upto <= self._took:
            self._acknowledged = upto
            self._window.acknowledged(upto, time.monotonic())
            self._settle_credit()
            if self.exit is not None:
                self.wake.set()

    def write(self, data: bytes) -> None:
        """Raises TooMuchInput."""
        if self._input_ended:
            return
        if self._taken + len(self._input) + len(data) > self.input_upto:
            raise TooMuchInput
        self._input += data
        if not self._resuming:
            self._pass_on(data)

    async def until_room(self, count: int) -> None:
        """Until so many bytes may be written."""
        while INPUT_WINDOW_BYTES - len(self._input) < count:
            self._roomier.clear()
            await self._roomier.wait()

    def end_input(self) -> None:
        if not self._input_ended:
            self._input_ended = True
            if not self._resuming:
                self._send(EndInput(self.channel))

    def signal(self, signum: int) -> None:
        self._send(Signal(self.channel, signum))

    def resize(self, cols: int, rows: int) -> None:
        self._send(Resize(self.channel, *clamp(cols, rows)))

    def told(self) -> dict[str, Any]:
        """How it ended, as scripts are told it."""
        ended = self.exit or LOST
        known = not (self.timed_out or ended.lost)
        duration_s = self.duration_s or time.monotonic() - self.started_s
        return {
            "exit_code": ended.status if known else None,
            "signal": ended.signal or None,
            "duration_s": round(duration_s, 3),
            "peak_bytes": ended.peak_bytes,
            "timed_out": self.timed_out,
            **({"lost": True} if ended.lost and not self.timed_out else {}),
        }

    # Its time

    def limit(self, timeout_s: float) -> None:
        """SIGTERM after so long, and SIGKILL to what is left of its process group."""
        self._limit = asyncio.get_running_loop().call_later(timeout_s, self._time_is_over)

    def _time_is_over(self) -> None:
        self.timed_out = True
        self.signal(signal.SIGTERM)
        self._limit = asyncio.get_running_loop().call_later(TERM_S, self._kill)

    def _kill(self) -> None:
        self.signal(signal.SIGKILL)
        self._limit = asyncio.get_running_loop().call_later(KILL_S, self._give_up)

    def _give_up(self) -> None:
        """The agent does not report its end. But it may be the script that does not take what comes before that."""
        if self._acknowledged < self._came:
            self._kill()
        else:
            self.ended(LOST)

    def close(self) -> None:
        if self._limit:
            self._limit.cancel()
            self._limit = None

    # What the agent says

    def output(self, offset: int, data: bytes) -> None:
        """ProtocolError: it comes once, in order, within the credit."""
        if offset != self._received or offset + len(data) > self._granted:
            raise ProtocolError("output that was not asked for")
        self._received += len(data)
        for kind, piece in [(STDOUT, data)] if self._tty else self._decoder.feed(data):
            if kind not in (STDOUT, STDERR):
                raise ProtocolError("output of an unknown kind")
            if piece:
                self._pieces.append((kind, piece))
                self._came += len(piece)
        self._settle_credit()
        self.wake.set()

    def input_taken(self, upto: int) -> None:
        """ProtocolError."""
        if not self._taken <= upto <= self._taken + len(self._input):
            raise ProtocolError("input that was not sent")
        del self._input[: upto - self._taken]
        self._taken = upto
        if self._resuming:
            self._send_again()
        self._roomier.set()
        self.wake.set()

    def ended(self, ending: Exit) -> None:
        if self.exit is not None:
            return
        self.exit = ending
        self.duration_s = round(time.monotonic() - self.started_s, 3)
        self.close()
        if self.timed_out:
            self.signal(signal.SIGKILL)  # what did not end with it
        self.wake.set()

    def lost(self) -> None:
        """The agent is away. Its program waits, or goes on, without us."""
        self._resuming = True
        self._owes_resume = False

    def resumed(self) -> None:
        """The agent is there again: what it wrote comes from where we are, and so does what it was sent."""
        self._owes_resume = True
        self._settle_credit()
        if self._tty:
            self._send_again()

    def leave(self) -> None:
        self.left = True
        self.close()
        self.wake.set()

    # Parts

    def _send_again(self) -> None:
        self._resuming = False
        self._pass_on(bytes(self._input))
        if self._input_ended:
            self._send(EndInput(self.channel))

    def _pass_on(self, data: bytes) -> None:
        for at in range(0, len(data), MAX_INPUT_BYTES):
            self._send(Input(self.channel, data[at : at + MAX_INPUT_BYTES]))
        if self._tty:  # keys are taken as they come: a terminal says by itself what it loses
            self._taken += len(self._input)
            self._input.clear()
            self.wake.set()

    def _settle_credit(self) -> None:
        if self._owes_resume:
            if self._came - self._acknowledged >= INITIAL_CREDIT_BYTES:
                return  # a Resume is so much credit by itself: an agent that comes back for ever would fill the memory
            self._owes_resume = False
            self._granted = self._received + INITIAL_CREDIT_BYTES
            self._send(Resume(self.channel, self._received))
        upto = self._received + max(self._window.size_bytes - (self._came - self._acknowledged), 0)
        if upto - self._granted >= self._window.size_bytes // CREDIT_STEPS:
            self._granted = upto
            self._send(Credit(self.channel, upto))
