"""A malicious agent: every way user code that has replaced the agent could abuse the socket.

    for attack in ATTACKS:
        closed = await asyncio.to_thread(attack.run, socket_path)
        assert closed or not attack.must_close
        ...the proxy still serves, has bounded memory, has no new descriptors, takes an honest agent...

An attack dials `socket_path`, does its deed and returns whether the proxy closed the connection it did it on. It closes
everything it opened. Blocking: run it in a thread. Those with `needs_open` wait for the proxy to ask for a terminal.
"""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runner.protocol import messages as m
from runner.protocol.frames import HEADER, MAX_FRAME_BYTES, Decoder

DEADLINE_S = 15.0  # longer than any deadline of the proxy
STALL_S = 3.0
FLOOD_BYTES = 64 << 20
FORGED = 0xDEAD_BEEF
UGLY = "<img src=x onerror=alert(1)>\x1b]0;title\x07\x1b[2J\u202eevil\u2066\n\r"


@dataclass(frozen=True, slots=True)
class Attack:
    """`must_close`: only closing the connection is a right answer. Otherwise ignoring it within bounds is one too."""

    name: str
    deed: Callable[[Evil], bool]
    must_close: bool
    needs_open: bool

    def run(self, socket_path: str) -> bool:
        with Evil(socket_path) as evil:
            return self.deed(evil)


ATTACKS: list[Attack] = []


def attack(*, must_close: bool, needs_open: bool = False) -> Callable[[Callable[[Evil], bool]], Callable[[Evil], bool]]:
    def register(deed: Callable[[Evil], bool]) -> Callable[[Evil], bool]:
        ATTACKS.append(Attack(deed.__name__, deed, must_close, needs_open))
        return deed

    return register


class Evil:
    """Connections of one attack."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._connections: list[socket.socket] = []

    def __enter__(self) -> Evil:
        return self

    def __exit__(self, *exception: object) -> None:
        for connection in self._connections:
            connection.close()

    def dial(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        self._connections.append(connection)
        # Waits while the listener's queue is full; Python's own timeout would make that an error at once.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(DEADLINE_S), 0))
        connection.connect(self.path)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 0))
        connection.settimeout(DEADLINE_S)
        return connection

    def control(self, *terminals: m.TerminalState) -> socket.socket:
        """A connection that has said a fine Hello."""
        connection = self.dial()
        connection.sendall(m.encode(m.Hello(m.VERSION, os.getpid(), terminals)))
        return connection

    def opened(self) -> tuple[socket.socket, int]:
        """-> a connection and the channel of a terminal that the proxy asked for and believes to be open."""
        connection = self.control()
        for message in self.received(connection):
            if isinstance(message, m.Open):
                connection.sendall(m.encode(m.Opened(message.channel, 4242)))
                return connection, message.channel
        raise ConnectionError("the proxy asked for no terminal")

    def received(self, connection: socket.socket) -> Iterator[m.FromProxy]:
        decoder = Decoder()
        while data := connection.recv(65536):
            for kind, body in decoder.feed(data):
                yield m.decode_from_proxy(kind, body)

    def is_closed(self, connection: socket.socket, within_s: float = DEADLINE_S) -> bool:
        """Read until the proxy closes, or the time is over."""
        deadline = time.monotonic() + within_s
        try:
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(65536):
                    return True
        except TimeoutError:
            pass
        except OSError:
            return True
        return False

    def send(self, connection: socket.socket, data: bytes, times: int = 1) -> bool:
        """As far as the proxy lets it; -> whether it closed meanwhile. Reads nothing, so it may also stall: False."""
        connection.settimeout(2.0)
        try:
            for _ in range(times):
                connection.sendall(data)
        except TimeoutError:
            return False
        except OSError:
            return True
        return self.is_closed(connection, within_s=0.5)


@contextmanager
def _descriptors(count: int) -> Iterator[list[int]]:
    found = [os.open("/dev/null", os.O_RDONLY) for _ in range(count)]
    try:
        yield found
    finally:
        for descriptor in found:
            os.close(descriptor)


# The first frame


@attack(must_close=True)
def silence(evil: Evil) -> bool:
    return evil.is_closed(evil.dial())


@attack(must_close=True)
def hello_that_never_ends(evil: Evil) -> bool:
    connection = evil.dial()
    connection.sendall(m.encode(m.Hello(m.VERSION, 1, ()))[:-1])
    return evil.is_closed(connection)


@attack(must_close=True)
def first_frame_of_4_gib(evil: Evil) -> bool:
    connection = evil.dial()
    header = HEADER.pack(2**32 - 1, m.kind_of(m.Hello))
    return evil.send(connection, header) or evil.send(connection, bytes(1 << 20), FLOOD_BYTES >> 20)


@attack(must_close=True)
def hello_of_1_mib(evil: Evil) -> bool:
    connection = evil.dial()
    return evil.send(connection, HEADER.pack(MAX_FRAME_BYTES, m.kind_of(m.Hello)) + bytes(MAX_FRAME_BYTES - 1))


@attack(must_close=True)
def wrong_version(evil: Evil) -> bool:
    connection = evil.dial()
    connection.sendall(m.encode(m.Hello("devex-0", 1, ())))
    return evil.is_closed(connection)


@attack(must_close=True)
def something_else_than_hello(evil: Evil) -> bool:
    connection = evil.dial()
    connection.sendall(m.encode(m.Output(1, 0, b"first")))
    return evil.is_closed(connection)


@attack(must_close=True)
def http_request(evil: Evil) -> bool:
    connection = evil.dial()
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return evil.is_closed(connection)


@attack(must_close=True)
def hello_with_an_evil_terminal_id(evil: Evil) -> bool:
    connection = evil.dial()
    hello = m.encode(m.Hello(m.VERSION, 1, (m.TerminalState(1, "a-b", 0, 0, None),)))
    connection.sendall(hello.replace(b"a-b", b"../"))
    return evil.is_closed(connection)


@attack(must_close=False)
def hello_with_terminals_never_asked_for(evil: Evil) -> bool:
    states = [m.TerminalState(FORGED + n, f"forged-{n}", 2**63, 1, None) for n in range(m.MAX_TERMINALS)]
    return evil.is_closed(evil.control(*states), within_s=1)


@attack(must_close=False)
def hello_with_a_run_of_the_year_33658(evil: Evil) -> bool:
    return evil.is_closed(evil.control(m.TerminalState(FORGED, f"run-{'9' * 15}-deadbeef", 0, 0, None)), within_s=1)


# Frames


@attack(must_close=True)
def frame_of_4_gib(evil: Evil) -> bool:
    connection = evil.control()
    header = HEADER.pack(2**32 - 1, m.kind_of(m.Output))
    return evil.send(connection, header) or evil.send(connection, bytes(1 << 20), FLOOD_BYTES >> 20)


@attack(must_close=True)
def frame_of_no_bytes(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(bytes(4) + bytes(1))
    return evil.is_closed(connection)


@attack(must_close=False)
def frame_of_1_mib_that_never_ends(evil: Evil) -> bool:
    connection = evil.control()
    return evil.send(connection, HEADER.pack(MAX_FRAME_BYTES, m.kind_of(m.Output)) + bytes(MAX_FRAME_BYTES - 2))


@attack(must_close=True)
def unknown_kind(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(HEADER.pack(5, 255) + b"what")
    return evil.is_closed(connection)


@attack(must_close=True)
def what_only_the_proxy_says(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(m.encode(m.Input(1, b"rm -rf /\r")))
    return evil.is_closed(connection)


@attack(must_close=True)
def message_cut_short(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(HEADER.pack(3, m.kind_of(m.Pong)) + b"xx")
    return evil.is_closed(connection)


@attack(must_close=True)
def message_with_something_behind(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(HEADER.pack(9, m.kind_of(m.Pong)) + bytes(8))
    return evil.is_closed(connection)


@attack(must_close=True)
def list_that_claims_4_billion(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(HEADER.pack(5, m.kind_of(m.Ports)) + struct.pack(">I", 2**32 - 1))
    return evil.is_closed(connection)


@attack(must_close=True)
def hello_twice(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(m.encode(m.Hello(m.VERSION, 1, ())))
    return evil.is_closed(connection)


@attack(must_close=True)
def second_control_connection(evil: Evil) -> bool:
    """The second is closed, the first lives."""
    first = evil.control()
    assert isinstance(next(evil.received(first)), m.Welcome)
    closed = evil.is_closed(evil.control())
    assert not evil.is_closed(first, within_s=0.5)
    return closed


# Streams


@attack(must_close=True)
def forged_stream(evil: Evil) -> bool:
    evil.control()
    connection = evil.dial()
    connection.sendall(m.encode(m.Stream(FORGED, True)) + b"HTTP/1.1 200 OK\r\n\r\n")
    return evil.is_closed(connection)


@attack(must_close=True)
def stream_without_control(evil: Evil) -> bool:
    connection = evil.dial()
    connection.sendall(m.encode(m.Stream(0, True)))
    return evil.is_closed(connection)


@attack(must_close=True)
def stream_on_the_control_connection(evil: Evil) -> bool:
    connection = evil.control()
    connection.sendall(m.encode(m.Stream(FORGED, True)))
    return evil.is_closed(connection)


@attack(must_close=True)
def many_forged_streams(evil: Evil) -> bool:
    closed = True
    for number in range(300):
        connection = evil.dial()
        connection.sendall(m.encode(m.Stream(number, True)))
        closed = evil.is_closed(connection) and closed
    return closed


@attack(must_close=False)
def many_silent_connections(evil: Evil) -> bool:
    connections = []
    for _ in range(300):
        try:
            connections.append(evil.dial())
        except OSError:
            break
    return all(evil.is_closed(connection) for connection in connections)


# Floods


@attack(must_close=False)
def flood_of_pongs(evil: Evil) -> bool:
    return evil.send(evil.control(), m.encode(m.Pong(7)) * 10_000, times=50)


@attack(must_close=False)
def flood_of_ports(evil: Evil) -> bool:
    some = m.encode(m.Ports(tuple(m.Port(number, False) for number in range(m.MAX_PORTS))))
    return evil.send(evil.control(), (some + m.encode(m.Ports(()))) * 50, times=100)


@attack(must_close=False)
def flood_of_hellos_by_redialling(evil: Evil) -> bool:
    for _ in range(300):
        evil.control().close()
    return evil.is_closed(evil.control(), within_s=1)


@attack(must_close=False)
def output_of_a_channel_never_opened(evil: Evil) -> bool:
    frame = m.encode(m.Output(FORGED, 0, bytes(m.MAX_OUTPUT_BYTES)))
    return evil.send(evil.control(), frame, times=FLOOD_BYTES // m.MAX_OUTPUT_BYTES)


@attack(must_close=False)
def replies_nobody_asked_for(evil: Evil) -> bool:
    frames = m.encode(m.Opened(FORGED, 1)) + m.encode(m.OpenFailed(FORGED, UGLY)) + m.encode(m.Exited(FORGED, 0, 9, 1))
    return evil.send(evil.control(), frames * 1000)


@attack(must_close=False)
def fifty_descriptors(evil: Evil) -> bool:
    """The proxy must have none of them afterwards."""
    connection = evil.control()
    with _descriptors(50) as descriptors:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        connection.sendmsg([m.encode(m.Pong(1))], rights)
    return evil.is_closed(connection, within_s=1)


@attack(must_close=False)
def fifty_descriptors_with_the_hello(evil: Evil) -> bool:
    connection = evil.dial()
    with _descriptors(50) as descriptors:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        connection.sendmsg([m.encode(m.Hello(m.VERSION, 1, ()))], rights)
    return evil.is_closed(connection, within_s=1)


# Terminals


@attack(must_close=False, needs_open=True)
def output_beyond_the_credit(evil: Evil) -> bool:
    connection, channel = evil.opened()
    connection.settimeout(2.0)
    data = b"A" * m.MAX_OUTPUT_BYTES
    try:
        for offset in range(0, FLOOD_BYTES, len(data)):
            connection.sendall(m.encode(m.Output(channel, offset, data)))
    except TimeoutError:
        return False
    except OSError:
        return True
    return evil.is_closed(connection, within_s=0.5)


@attack(must_close=False, needs_open=True)
def output_at_impossible_offsets(evil: Evil) -> bool:
    connection, channel = evil.opened()
    offsets = (2**64 - 1, 5, 2**63, 0, 0, 1)
    return evil.send(connection, b"".join(m.encode(m.Output(channel, offset, b"jump")) for offset in offsets))


@attack(must_close=False, needs_open=True)
def exit_again_and_again(evil: Evil) -> bool:
    connection, channel = evil.opened()
    exits = b"".join(m.encode(m.Exited(channel, status, 255, 2**64 - 1)) for status in (0, -(2**31), 2**31 - 1))
    return evil.send(connection, exits * 300 + m.encode(m.Output(channel, 0, b"after the end")))


@attack(must_close=False, needs_open=True)
def ugly_reason(evil: Evil) -> bool:
    connection = evil.control()
    for message in evil.received(connection):
        if isinstance(message, m.Open):
            return evil.send(connection, m.encode(m.OpenFailed(message.channel, UGLY)))
    return True


@attack(must_close=False, needs_open=True)
def never_reading_again(evil: Evil) -> bool:
    """What is typed meanwhile must not pile up in the proxy. The connection is held for some seconds."""
    connection, channel = evil.opened()
    connection.sendall(m.encode(m.Output(channel, 0, b"$ ")))
    hang_up = select.poll()
    hang_up.register(connection, 0)
    return bool(hang_up.poll(STALL_S * 1000))
