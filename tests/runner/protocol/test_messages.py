"""Every message survives the wire; everything else is a ProtocolError and nothing but that."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.protocol import messages as m
from runner.protocol.errors import ProtocolError
from runner.protocol.frames import Decoder

U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
I32 = st.integers(-(2**31), 2**31 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
TERMINAL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32)
STATE = st.builds(m.TerminalState, U32, TERMINAL, U64, U64, st.none() | I32)

FROM_PROXY = st.one_of(
    st.builds(m.Welcome, TEXT.filter(lambda text: len(text.encode()) <= 60)),
    st.builds(
        m.Open,
        U32,
        TERMINAL,
        st.lists(TEXT).map(tuple),
        TEXT,
        st.dictionaries(TEXT, TEXT, max_size=9),
        U16,
        U16,
        st.booleans(),
    ),
    st.builds(m.Input, U32, st.binary()),
    st.builds(m.EndInput, U32),
    st.builds(m.Credit, U32, U64),
    st.builds(m.Resize, U32, U16, U16),
    st.builds(m.Signal, U32, U8),
    st.builds(m.Close, U32),
    st.builds(m.Connect, U64, U16),
    st.builds(m.Resume, U32, U64),
    st.builds(m.Ping, U32),
    st.builds(m.Inquire, U32),
)
FROM_AGENT = st.one_of(
    st.builds(m.Hello, TEXT, U32, st.lists(STATE, max_size=m.MAX_TERMINALS // 2).map(tuple)),
    st.builds(m.Opened, U32, U32),
    st.builds(m.OpenFailed, U32, TEXT),
    st.builds(m.Output, U32, U64, st.binary()),
    st.builds(m.Exited, U32, I32, U8, U64),
    st.builds(m.Ports, st.lists(st.builds(m.Port, U16, st.booleans()), max_size=m.MAX_PORTS).map(tuple)),
    st.builds(m.Pong, U32),
    st.builds(m.Stream, U64, st.booleans()),
    st.builds(m.InputTaken, U32, U64),
    st.builds(m.Foreground, U32, TEXT.filter(lambda text: len(text.encode()) <= 120)),
)


def unframed(message: m.Message) -> tuple[int, bytes]:
    [frame] = Decoder().feed(m.encode(message))
    return frame


@given(FROM_PROXY)
def test_what_the_proxy_says_survives_the_wire(message: m.FromProxy) -> None:
    assert m.decode_from_proxy(*unframed(message)) == message
    with pytest.raises(ProtocolError):
        m.decode_from_agent(*unframed(message))


@given(FROM_AGENT)
def test_what_the_agent_says_survives_the_wire(message: m.FromAgent) -> None:
    assert m.decode_from_agent(*unframed(message)) == message
    with pytest.raises(ProtocolError):
        m.decode_from_proxy(*unframed(message))


@given(kind=st.integers(0, 255), body=st.binary(max_size=120))
def test_garbage_is_a_protocol_error_or_a_message_that_means_the_same(kind: int, body: bytes) -> None:
    try:
        message = m.decode(kind, body)
    except ProtocolError:
        return
    assert m.decode(*unframed(message)) == message


@given(message=st.one_of(FROM_PROXY, FROM_AGENT), data=st.data())
def test_damage_is_a_protocol_error_or_another_message(message: m.Message, data: st.DataObject) -> None:
    kind, body = unframed(message)
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        m.decode(data.draw(st.sampled_from([kind, kind ^ 1, kind ^ 64])), bytes(damaged))
    except ProtocolError:
        pass


@given(message=st.one_of(FROM_PROXY, FROM_AGENT), data=st.data())
def test_a_message_cut_short_or_with_something_behind_it_is_refused(message: m.Message, data: st.DataObject) -> None:
    kind, body = unframed(message)
    if isinstance(message, m.Input | m.Output):
        body = body[: -len(message.data)] if message.data else body
    else:
        with pytest.raises(ProtocolError):
            m.decode(kind, body + b"\0")
    with pytest.raises(ProtocolError):
        m.decode(kind, body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize(
    "message",
    [
        m.Ping(-1),
        m.Ping(2**32),
        m.Resize(1, 65536, 1),
        m.Credit(1, 2**64),
        m.Input(1, bytes(m.MAX_INPUT_BYTES + 1)),
        m.Output(1, 0, bytes(m.MAX_OUTPUT_BYTES + 1)),
        m.Open(1, "UPPER", (), "/", {}, 1, 1, False),
        m.Open(1, "", (), "/", {}, 1, 1, False),
        m.Open(1, "a" * 33, (), "/", {}, 1, 1, False),
        m.Open(1, "a", ("a\0b",), "/", {}, 1, 1, False),
        m.Open(1, "a", ("\ud800",), "/", {}, 1, 1, False),
        m.Open(1, "a", ("x" * (1 << 20),), "/", {}, 1, 1, False),
        m.Open(1, "a", ("",) * 5000, "/", {}, 1, 1, False),
        m.OpenFailed(1, "x" * 5000),
        m.Hello("x" * 5000, 1, ()),
        m.Ports(tuple(m.Port(number, True) for number in range(m.MAX_PORTS + 1))),
    ],
    ids=lambda message: type(message).__name__,
)
def test_what_does_not_fit_is_not_sent(message: m.Message) -> None:
    with pytest.raises(ProtocolError):
        m.encode(message)


def test_a_hello_of_every_terminal_fits() -> None:
    state = m.TerminalState(2**32 - 1, "x" * 32, 2**64 - 1, 2**64 - 1, -1)
    hello = m.Hello(m.VERSION, 2**32 - 1, (state,) * m.MAX_TERMINALS)
    assert len(m.encode(hello)) <= m.MAX_HELLO_BYTES


def test_the_same_name_twice_is_refused() -> None:
    kind, body = unframed(m.Open(1, "a", (), "/", {"AB": "1", "AC": "2"}, 1, 1, False))
    with pytest.raises(ProtocolError, match="twice"):
        m.decode(kind, body.replace(b"AC", b"AB"))


def test_the_longest_output_is_one_frame() -> None:
    message = m.Output(1, 2**40, bytes(m.MAX_OUTPUT_BYTES))
    assert m.decode(*unframed(message)) == message


def test_a_record_behaves_as_a_named_tuple() -> None:
    message = m.Resize(1, rows=24, cols=80)
    assert message == m.Resize(1, 80, 24)
    assert message != (1, 80, 24)
    assert (message.cols, message.rows) == (80, 24)
    assert repr(message) == "Resize(channel=1, cols=80, rows=24)"
    match message:
        case m.Resize(channel, cols=cols):
            assert (channel, cols) == (1, 80)
    for wrong in ((1, 2), (1, 2, 3, 4)):
        with pytest.raises(TypeError):
            m.Resize(*wrong)
    with pytest.raises(TypeError):
        m.Resize(1, 80, 24, channel=3)  # type: ignore[misc]
