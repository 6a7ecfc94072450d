"""Every message between proxy and agent, and the one table that says how each travels.

A terminal has an id (text) and a channel (number, in hot frames); the proxy chooses both at Open.
Offsets count the bytes a terminal has written since it was opened.

    proxy -> agent   kinds below FIRST_KIND_OF_AGENT
    agent -> proxy   the others
"""

from __future__ import annotations

from runner.protocol.errors import ProtocolError
from runner.protocol.fields import (
    FLAG,
    I32,
    REST,
    TERMINAL_ID,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    ListOf,
    MapOfText,
    Optional,
    Struct,
)
from runner.protocol.frames import MAX_FRAME_BYTES, encode_frame
from runner.protocol.named_tuple import NamedTuple

VERSION = "devex-4"  # both ends ship together: an exact match or nothing
INITIAL_CREDIT_BYTES = 256 * 1024  # what a terminal may send before the proxy's first Credit: one window
FREE_RUN = 1 << 63  # as `Credit.upto`: send whatever comes
MAX_TERMINALS = 64  # what one sandbox may have open; a Hello that lists them all stays below 4 KiB
MAX_PORTS = 256  # listening ports worth reporting
MAX_ARGUMENTS = 4096  # of a program, and as many variables; few lists of files are longer
MAX_REASON_CHARACTERS = 1000  # of why a program could not be started: a sentence with a path in it
MAX_OUTPUT_BYTES = 64 * 1024  # data in one Output: the size of one read from a PTY
MAX_INPUT_BYTES = 64 * 1024  # data in one Input
STDOUT, STDERR = 1, 2  # kinds of the frames that a program without a terminal writes
MAX_NAME_BYTES = 64  # of a program: the kernel keeps 15, and each may become a character of 3
FIRST_KIND_OF_AGENT = 64  # below it are the proxy's
MAX_HELLO_BYTES = 4 * 1024  # before the Hello nothing is known about the other end


class Welcome(NamedTuple):
    """The answer to a Hello of the same version."""

    version: str


class Open(NamedTuple):
    """Start a program on a new terminal; or, `piped`, without one: what it writes then comes as frames (frames.py) of
    kind STDOUT and STDERR."""

    channel: int
    terminal: str
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    cols: int
    rows: int
    piped: bool


class Input(NamedTuple):
    channel: int
    data: bytes


class EndInput(NamedTuple):
    """Behind the last Input: the program reads end of file."""

    channel: int


class Credit(NamedTuple):
    """Output may be sent up to this offset."""

    channel: int
    upto: int


class Resize(NamedTuple):
    channel: int
    cols: int
    rows: int


class Signal(NamedTuple):
    """To the terminal's foreground process group; to that of a program without a terminal, even when it has ended."""

    channel: int
    signum: int


class Close(NamedTuple):
    """Hang up, then kill; forget the ring. There is no answer: an Exited of a closed channel is never sent."""

    channel: int


class Inquire(NamedTuple):
    """What runs in the foreground? Foreground answers, at once."""

    channel: int


class Connect(NamedTuple):
    """Dial 127.0.0.1 (or ::1) `port` in the sandbox and relay it over a connection of its own."""

    stream: int
    port: int


class Resume(NamedTuple):
    """Send again from this offset (or from the ring's start, when it is later); Exited again behind it."""

    channel: int
    after: int


class Ping(NamedTuple):
    n: int


class TerminalState(NamedTuple):
    """`start..end`: the offsets the agent's ring holds. `exit_status` is None while the program runs."""

    channel: int
    terminal: str
    start: int
    end: int
    exit_status: int | None


class Hello(NamedTuple):
    """First frame of a control connection."""

    version: str
    pid: int
    terminals: tuple[TerminalState, ...]


class Opened(NamedTuple):
    channel: int
    pid: int


class OpenFailed(NamedTuple):
    channel: int
    reason: str


class Output(NamedTuple):
    channel: int
    offset: int
    data: bytes


class Exited(NamedTuple):
    """Behind the last Output. `status` as a shell says it (128 + signal), `signal` 0 for an ordinary exit.

    `peak_bytes`: the most memory (resident set) that one process had, the program or the largest of those that it
    waited for (ru_maxrss of wait4); no sum of several, and never less than what the agent had at the start. 0: unknown.
    """

    channel: int
    status: int
    signal: int
    peak_bytes: int


class Port(NamedTuple):
    port: int
    loopback: bool


class Ports(NamedTuple):
    """All listening TCP ports, whenever they change."""

    ports: tuple[Port, ...]


class Pong(NamedTuple):
    n: int


class InputTaken(NamedTuple):
    """A program without a terminal has so many bytes of its input in its pipe. After a Resume this comes first, and
    what is behind it was lost: send it again."""

    channel: int
    upto: int


class Foreground(NamedTuple):
    """The name of the program that a shell waits for, as the kernel has it; "" when it waits for none."""

    channel: int
    name: str


class Stream(NamedTuple):
    """First frame of a relayed connection; behind an `ok` come the raw bytes of the TCP stream."""

    stream: int
    ok: bool


FromProxy = Welcome | Open | Input | EndInput | Credit | Resize | Signal | Close | Connect | Resume | Ping | Inquire
FromAgent = Hello | Opened | OpenFailed | Output | Exited | Ports | Pong | Stream | InputTaken | Foreground
Message = FromProxy | FromAgent

_SMALL = 64  # bytes; room for any message of a few numbers

# kind -> (class, wire, longest body in bytes). The kinds of released versions are never used for something else.
_WIRE: dict[int, tuple[type[NamedTuple], Struct, int]] = {
    kind: (cls, Struct(cls, *fields), max_bytes)
    for kind, cls, fields, max_bytes in (
        (1, Welcome, (TEXT,), _SMALL),
        (
            2,
            Open,
            (U32, TERMINAL_ID, ListOf(TEXT, MAX_ARGUMENTS), TEXT, MapOfText(MAX_ARGUMENTS), U16, U16, FLAG),
            MAX_FRAME_BYTES - 1,
        ),
        (3, Input, (U32, REST), 4 + MAX_INPUT_BYTES),
        (4, Credit, (U32, U64), _SMALL),
        (5, Resize, (U32, U16, U16), _SMALL),
        (6, Signal, (U32, U8), _SMALL),
        (7, Close, (U32,), _SMALL),
        (8, Connect, (U64, U16), _SMALL),
        (9, Resume, (U32, U64), _SMALL),
        (10, Ping, (U32,), _SMALL),
        (11, EndInput, (U32,), _SMALL),
        (12, Inquire, (U32,), _SMALL),
        (
            64,
            Hello,
            (
                TEXT,
                U32,
                ListOf(Struct(TerminalState, U32, TERMINAL_ID, U64, U64, Optional(I32)), MAX_TERMINALS),
            ),
            MAX_HELLO_BYTES,
        ),
        (65, Opened, (U32, U32), _SMALL),
        (66, OpenFailed, (U32, TEXT), 8 + 4 * MAX_REASON_CHARACTERS),
        (67, Output, (U32, U64, REST), 12 + MAX_OUTPUT_BYTES),
        (68, Exited, (U32, I32, U8, U64), _SMALL),
        (69, Ports, (ListOf(Struct(Port, U16, FLAG), MAX_PORTS),), 4 + 3 * MAX_PORTS),
        (70, Pong, (U32,), _SMALL),
        (71, Stream, (U64, FLAG), _SMALL),
        (72, InputTaken, (U32, U64), _SMALL),
        (73, Foreground, (U32, TEXT), 8 + MAX_NAME_BYTES),
    )
}
_KINDS = {cls: kind for kind, (cls, _, _) in _WIRE.items()}


def kind_of(cls: type[NamedTuple]) -> int:
    """The kind byte of a message's class."""
    return _KINDS[cls]


def encode(message: Message) -> bytes:
    """-> one frame. ProtocolError when a value does not fit its field."""
    kind = _KINDS[type(message)]
    _, wire, max_bytes = _WIRE[kind]
    return encode_frame(kind, wire.put(message), max_bytes + 1)


def decode(kind: int, body: bytes) -> Message:
    """A frame's body -> its message. ProtocolError: unknown kind, anything missing, extra or too long."""
    known = _WIRE.get(kind)
    if known is None:
        raise ProtocolError(f"unknown kind {kind}")
    cls, wire, max_bytes = known
    if len(body) > max_bytes:
        raise ProtocolError(f"a {cls.__name__} of {len(body)} bytes is longer than {max_bytes}")
    message, end = wire.take(body, 0)
    if end != len(body):
        raise ProtocolError(f"{len(body) - end} bytes too many in a {cls.__name__}")
    checked: Message = message
    return checked


def decode_from_proxy(kind: int, body: bytes) -> FromProxy:
    """As `decode`; what only an agent may say is refused."""
    message = decode(kind, body)
    if kind >= FIRST_KIND_OF_AGENT:
        raise ProtocolError(f"{type(message).__name__} came from the wrong side")
    return message  # type: ignore[return-value]


def decode_from_agent(kind: int, body: bytes) -> FromAgent:
    """As `decode`; what only the proxy may say is refused."""
    message = decode(kind, body)
    if kind < FIRST_KIND_OF_AGENT:
        raise ProtocolError(f"{type(message).__name__} came from the wrong side")
    return message  # type: ignore[return-value]
