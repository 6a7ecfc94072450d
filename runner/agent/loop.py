"""One thread, one poll(): who is called when a descriptor is ready, when a child has ended, when a time has come."""

from __future__ import annotations

import os
import select
import time

from runner.agent.posix_signals import SIGCHLD, set_wakeup_fd, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

READ = select.POLLIN
WRITE = select.POLLOUT
BROKEN = select.POLLHUP | select.POLLERR | select.POLLNVAL  # reported whatever was asked for


class Loop:
    """A callback may come for nothing (a descriptor's number reused within one round): they all are non-blocking."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []

    def watch(self, fd: int, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready(events)` whenever one of `events` is so; replaces what was watched for on `fd`."""
        self._poll.register(fd, events)
        self._ready[fd] = ready

    def forget(self, fd: int) -> None:
        """Before `fd` is closed. Harmless when it is not watched."""
        if self._ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call once, `delay_s` from now. Few at a time: redial, ports, kills, half-open streams."""
        self._timers.append((time.monotonic() + delay_s, call))

    def on_child(self, call: Callable[[], None]) -> None:
        """Call, outside any other callback, after one or more children have ended."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal(SIGCHLD, _noticed)  # without a handler nothing is written to the wakeup descriptor

        def ready(events: int) -> None:
            os.read(reading, 4096)
            call()

        self.watch(reading, READ, ready)

    def run(self) -> None:
        """For ever."""
        while True:
            for fd, events in self._poll.poll(self._timeout_ms()):
                ready = self._ready.get(fd)
                if ready is not None:
                    ready(events)
            if self._timers:
                self._call_due()

    def _timeout_ms(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, (min(self._timers, key=_when)[0] - time.monotonic()) * 1000)

    def _call_due(self) -> None:
        now = time.monotonic()
        due = [timer for timer in self._timers if timer[0] <= now]
        if due:
            self._timers = [timer for timer in self._timers if timer[0] > now]
            for _, call in sorted(due, key=_when):
                call()


def _when(timer: tuple[float, Callable[[], None]]) -> float:
    return timer[0]


def _noticed(signum: int, frame: FrameType | None) -> None:
    """What to do about it is read from the wakeup descriptor."""
