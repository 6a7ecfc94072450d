"""Which TCP ports programs in this network namespace listen on, polled: the kernel tells nobody."""

from __future__ import annotations

import time

from runner.protocol.messages import MAX_PORTS, Port, Ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.agent.loop import Loop

BUSY_POLL_S = 0.5
IDLE_POLL_S = 2.0
BUSY_S = 15.0  # after a program was started, a line entered or a port changed: a server may be about to listen
_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTEN = b"0A"
_LOOPBACKS = (b"0100007F", b"00000000000000000000000001000000")  # as both byte orders in use here print them
_MAX_TABLE_BYTES = 1 << 20


def parse_table(table: bytes) -> list[Port]:
    """The listening lines of /proc/net/tcp or tcp6, in order, with repetitions."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split(None, 4)
        if len(fields) > 3 and fields[3] == _LISTEN:
            address, _, port = fields[1].partition(b":")
            found.append(Port(int(port, 16), address in _LOOPBACKS))
    return found


def merge(found: list[Port]) -> tuple[Port, ...]:
    """Each port once, in order; `loopback` when it listens nowhere else."""
    loopback: dict[int, bool] = {}
    for port in found:
        loopback[port.port] = loopback.get(port.port, True) and port.loopback
    return tuple(Port(number, loopback[number]) for number in sorted(loopback)[:MAX_PORTS])


def listening() -> tuple[Port, ...]:
    found: list[Port] = []
    for path in _TABLES:
        try:
            with open(path, "rb") as table:
                found += parse_table(table.read(_MAX_TABLE_BYTES))
        except OSError:  # no IPv6, or no /proc
            continue
    return merge(found)


class PortWatch:
    """Reports through `send` whenever the list differs from the one last reported."""

    def __init__(self, loop: Loop, send: Callable[[Ports], None], hidden: frozenset[int]) -> None:
        self._loop = loop
        self._send = send
        self._hidden = hidden
        self._reported: tuple[Port, ...] | None = ()
        self._busy_until = 0.0
        self._generation = 0

    def soon(self) -> None:
        """Something happens that may make a program listen."""
        now = time.monotonic()
        idle = now >= self._busy_until
        self._busy_until = now + BUSY_S
        if idle and self._reported is not None:
            self._schedule(BUSY_POLL_S)

    def report_again(self) -> None:
        """A new connection knows nothing yet."""
        self._reported = None
        self._schedule(0.0)

    def _poll(self) -> None:
        now = tuple(port for port in listening() if port.port not in self._hidden)
        if now != self._reported:
            if self._reported is not None:
                self._busy_until = time.monotonic() + BUSY_S
            self._reported = now
            self._send(Ports(now))
        self._schedule(BUSY_POLL_S if time.monotonic() < self._busy_until else IDLE_POLL_S)

    def _schedule(self, delay_s: float) -> None:
        """One timer counts: an earlier one that is still under way finds that it is not of this generation."""
        self._generation += 1
        generation = self._generation

        def due() -> None:
            if generation == self._generation:
                self._poll()

        self._loop.later(delay_s, due)
