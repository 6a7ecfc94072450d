"""One terminal that is being recorded. No disk here.

The terminal's ring is the only buffer: a recording is an offset in it, as a viewer is. What leaves the ring before it
was written is missing in the record; nothing waits for the disk.
"""

import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from runner.protocol.ring import Ring
from runner.proxy.records.about import About
from runner.proxy.records.entries import PIECE_BYTES, Entry, Output, Sized
from runner.proxy.records.masking import Masking

TICK_MS: Final = 20  # output within so short a time has one time: players show 50 pictures a second
TIMES: Final = 256  # remembered of what is not on disk yet; when it is more, the oldest of it is told as later
EARLY_BYTES: Final = 256 * 1024  # that wait: then they are not left to wait longer


@dataclass(frozen=True, slots=True)
class Pending:
    """What a recording would write now: `raw` is the ring's from `start` on, of which `at` and on is not on disk."""

    about: About
    start: int
    at: int
    raw: bytes
    cut: bool
    final: bool
    times: tuple[tuple[int, int], ...]
    sizes: tuple[Sized, ...]

    def entries(self, masking: Masking) -> list[Entry]:
        """Masked, with the times at which it came."""
        masked = masking.released(self.raw, cut=self.cut, final=self.final)
        return list(_entries(masked[self.at - self.start :], self.at, self.times, self.sizes))


class Recording:
    """`wake(hurry)` is called when there is something to write. `written`: the offset up to which it is on disk."""

    def __init__(self, about: About, ring: Ring, written: int, *, wake: Callable[[bool], None]) -> None:
        self.about = about
        self.written = written
        self.closed = False
        self._ring = ring
        self._wake = wake
        self._times: deque[tuple[int, int]] = deque(maxlen=TIMES)
        self._sizes: deque[Sized] = deque(maxlen=TIMES)
        self._told: About | None = None
        if not written:
            self.resized(about.cols, about.rows)

    # What the terminal says

    def output(self, start: int) -> None:
        """The ring has more, from offset `start` on."""
        now_ms = _now_ms()
        if not self._times or now_ms - self._times[-1][1] >= TICK_MS:
            self._times.append((start, now_ms))
        self._wake(self._ring.end - self.written >= EARLY_BYTES)

    def resized(self, cols: int, rows: int) -> None:
        self._sizes.append(Sized(self._ring.end, _now_ms(), cols, rows))
        self.about = replace(self.about, cols=cols, rows=rows)
        self._wake(False)  # a window that is dragged has many

    def renamed(self, title: str) -> None:
        self._tell(replace(self.about, title=title))

    def ended(self, exit: Mapping[str, Any], duration_s: float | None, peak_bytes: int | None = None) -> None:
        """Said again when an agent was reconnected."""
        if self.about.exit != exit:
            self._tell(self.about.ended(exit, duration_s, peak_bytes))

    def goes_on(self) -> None:
        """It was said to have ended, and has not."""
        self._tell(replace(self.about, ended_at=None, exit=None, duration_s=None, peak_bytes=None))

    def stopped(self, *, forced: bool = False) -> None:
        """Somebody wants its end."""
        self._tell(replace(self.about, stopped=True, forced=forced))

    def close(self, duration_s: float) -> None:
        """The terminal is closed: nothing more will come."""
        if self.about.ended_at is None:
            self._tell(replace(self.about, stopped=True).ended(None, duration_s))
        self.closed = True
        self._wake(True)

    def _tell(self, about: About) -> None:
        self.about = about
        self._wake(True)  # no ring holds it

    # What is written

    @property
    def is_over(self) -> bool:
        """It has ended, and the disk says so, too."""
        return self.about.ended_at is not None and self._told is not None and self._told.ended_at is not None

    @property
    def waits(self) -> bool:
        """Whether there is something to write."""
        return self.written < self._ring.end or self.about != self._told or bool(self._sizes)

    def pending(self, masking: Masking) -> Pending:
        ring = self._ring
        at = min(max(self.written, ring.start), ring.end)
        wanted = max(at - max(masking.longest - 1, 0), 0)  # a secret may have begun there
        start = max(wanted, ring.start)
        return Pending(
            self.about, start, at, ring.since(start), cut=start > wanted, final=self.about.ended_at is not None,
            times=tuple(self._times), sizes=tuple(self._sizes),
        )  # fmt: skip

    def took(self, pending: Pending, end: int, *, whole: bool) -> None:
        """It is on disk up to `end`; `whole`: all of it that is to be kept now."""
        self.written = max(self.written, end)
        while len(self._times) > 1 and self._times[1][0] <= self.written:
            self._times.popleft()
        if whole:
            self._told = pending.about
            for size in pending.sizes:
                if self._sizes and self._sizes[0] is size:
                    self._sizes.popleft()


def _entries(data: bytes, at: int, times: Sequence[tuple[int, int]], sizes: Sequence[Sized]) -> Iterator[Entry]:
    """Cut where another time or size begins."""
    end = at + len(data)
    places = {place for place in (*(offset for offset, _ in times), *(one.offset for one in sizes)) if at < place < end}
    waiting = deque(sizes)
    for start, upto in pairwise([*sorted({at} | places), end]):
        while waiting and waiting[0].offset <= start:
            yield waiting.popleft()
        known = bisect(times, start, key=_offset)
        at_ms = times[max(known - 1, 0)][1] if times else _now_ms()
        for place in range(start, upto, PIECE_BYTES):
            yield Output(place, at_ms, data[place - at : min(place + PIECE_BYTES, upto) - at])
    yield from waiting


def _offset(time: tuple[int, int]) -> int:
    return time[0]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
