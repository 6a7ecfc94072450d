"""Which TCP ports programs in this network namespace listen on, polled: the kernel tells nobody.

Asked by sock_diag(7), 0.1 ms; where that is refused, read from /proc/net/tcp, for which the kernel walks through the
machine's whole table of connections: 5 ms and more on a large one, with every terminal waiting.
"""

from __future__ import annotations

import _socket
import time
from struct import Struct

from runner.protocol.messages import MAX_PORTS, Port, Ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.agent.loop import Loop

BUSY_POLL_S = 0.5
IDLE_POLL_S = 2.0
BUSY_S = 15.0  # after a program was started, a line entered or a port changed: a server may be about to listen
LOOK_SHARE = 0.01  # of the time may go into looking, where a look is slow
_NETLINK_SOCK_DIAG = 4
_MESSAGE = Struct("=IHHII")  # nlmsghdr of netlink(7): length, type, flags, sequence, port
_REQUEST = Struct("=BBBxI48x")  # inet_diag_req_v2: family, protocol, extensions, states, and no socket in particular
_SOCKET = Struct("!H2x16s")  # of inet_diag_msg, behind four bytes: port and address
_SOCK_DIAG_BY_FAMILY, _DUMP_REQUEST, _DONE = 20, 0x301, 3
_LISTEN_STATE = 1 << 10
_DIAG_BYTES = 32 * 1024  # the kernel fills no more at once
_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
_LISTEN = b"0A"
_LOOPBACKS = (b"0100007F", b"00000000000000000000000001000000")  # as both byte orders in use here print them
_LOOPBACK, _LOOPBACK6 = b"\x7f\0\0\x01", b"\0" * 15 + b"\x01"
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


def from_tables() -> list[Port]:
    """As /proc shows them."""
    found: list[Port] = []
    for path in _TABLES:
        try:
            with open(path, "rb") as table:
                found += parse_table(table.read(_MAX_TABLE_BYTES))
        except OSError:  # no IPv6, or no /proc
            continue
    return found


def from_diag() -> list[Port]:
    """As sock_diag(7) answers, in no order, with repetitions. OSError where it is refused."""
    found: list[Port] = []
    diag = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)
    try:
        for family in (_socket.AF_INET, _socket.AF_INET6):
            request = _REQUEST.pack(family, _socket.IPPROTO_TCP, 0, _LISTEN_STATE)
            diag.send(_MESSAGE.pack(_MESSAGE.size + len(request), _SOCK_DIAG_BY_FAMILY, _DUMP_REQUEST, 1, 0) + request)
            while parse_diag(diag.recv(_DIAG_BYTES), found):
                pass
    finally:
        diag.close()
    return found


def parse_diag(answer: bytes, found: list[Port]) -> bool:
    """Add the sockets of one datagram to `found` -> whether another one follows. OSError for an error."""
    at = 0
    while at + _MESSAGE.size <= len(answer):
        length, kind, _, _, _ = _MESSAGE.unpack_from(answer, at)
        body = at + _MESSAGE.size
        if kind != _SOCK_DIAG_BY_FAMILY:
            if kind != _DONE:
                raise OSError("sock_diag is refused")
            return False
        family = answer[body]
        port, address = _SOCKET.unpack_from(answer, body + 4)
        loopback = address[:4] == _LOOPBACK if family == _socket.AF_INET else address == _LOOPBACK6
        found.append(Port(port, loopback))
        at += (length + 3) & ~3
    return at > 0


class PortWatch:
    """Reports through `send` whenever the list differs from the one last reported."""

    def __init__(self, loop: Loop, send: Callable[[Ports], None], hidden: frozenset[int]) -> None:
        self._loop = loop
        self._send = send
        self._hidden = hidden
        self._reported: tuple[Port, ...] | None = ()
        self._busy_until = 0.0
        self._generation = 0
        self._look: Callable[[], list[Port]] = from_diag

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
        started = time.monotonic()
        now = tuple(port for port in self._listening() if port.port not in self._hidden)
        ended = time.monotonic()
        if now != self._reported:
            if self._reported is not None:
                self._busy_until = ended + BUSY_S
            self._reported = now
            self._send(Ports(now))
        pause_s = BUSY_POLL_S if ended < self._busy_until else IDLE_POLL_S
        self._schedule(max(pause_s, (ended - started) / LOOK_SHARE))

    def _listening(self) -> tuple[Port, ...]:
        try:
            return merge(self._look())
        except OSError:
            self._look = from_tables
            return merge(self._look())

    def _schedule(self, delay_s: float) -> None:
        """One timer counts: an earlier one that is still under way finds that it is not of this generation."""
        self._generation += 1
        generation = self._generation

        def due() -> None:
            if generation == self._generation:
                self._poll()

        self._loop.later(delay_s, due)
