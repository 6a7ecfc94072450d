"""What scripts are told, whatever was written and however it came in pieces."""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.protocol.errors import ProtocolError
from runner.protocol.frames import encode_frame
from runner.protocol.messages import INITIAL_CREDIT_BYTES, STDERR, STDOUT, Credit, FromProxy, Input, Resume
from runner.proxy.execs.exec import Exec
from runner.proxy.execs.lines import NAMES, Lines

WRITTEN = st.one_of(st.binary(max_size=40), st.text(max_size=20).map(str.encode))
PIECES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), WRITTEN), max_size=30)


def told(lines: bytes) -> dict[int, bytes]:
    found = {STDOUT: b"", STDERR: b""}
    for one in lines.splitlines():
        [(name, text)] = json.loads(one).items()
        plain = name.removesuffix("_base64")
        kind = next(kind for kind, known in NAMES.items() if known == plain)
        found[kind] += text.encode() if name == plain else base64.b64decode(text)
    return found


def of(pieces: list[tuple[int, bytes]], kind: int) -> bytes:
    return b"".join(data for one, data in pieces if one == kind)


@given(PIECES)
def test_lines_are_json_and_hold_every_byte(pieces: list[tuple[int, bytes]]) -> None:
    lines = Lines()
    found = told(b"".join([lines.of(*piece) for piece in pieces]) + lines.rest())
    assert found == {kind: of(pieces, kind) for kind in NAMES}


@given(st.text(max_size=60), st.data())
def test_text_that_is_cut_anywhere_stays_text(text: str, data: st.DataObject) -> None:
    raw, lines, said = text.encode(), Lines(), b""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)))))
    for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        said += lines.of(STDOUT, raw[start:end])
    said += lines.rest()
    assert b"base64" not in said
    assert told(said)[STDOUT] == raw


@given(PIECES, st.data())
async def test_what_comes_in_any_pieces_is_taken_in_order(pieces: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """And credit is given for no more than a window beyond what was acknowledged."""
    sent: list[FromProxy] = []
    exec_ = Exec(1, "exec-1", tty=False, send=sent.append)
    stream = b"".join(encode_frame(kind, body) for kind, body in pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    taken: list[tuple[int, bytes]] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if end > start:
            exec_.output(start, stream[start:end])
        if data.draw(st.booleans()) and (piece := exec_.take()):
            taken.append(piece)
        if data.draw(st.booleans()):
            exec_.acknowledge()
    while piece := exec_.take():
        taken.append(piece)
    for kind in NAMES:
        assert of(taken, kind) == of(pieces, kind)
    credits = [message.upto for message in sent if isinstance(message, Credit)]
    assert credits == sorted(credits)
    assert all(upto <= len(stream) + INITIAL_CREDIT_BYTES for upto in credits)


async def test_what_no_honest_agent_says_is_refused() -> None:
    for offset, data in ((1, b"x"), (0, bytes(INITIAL_CREDIT_BYTES + 1)), (0, encode_frame(9, b"x"))):
        with pytest.raises(ProtocolError):
            Exec(1, "exec-1", tty=False, send=lambda message: None).output(offset, data)
    exec_ = Exec(1, "exec-1", tty=False, send=lambda message: None)
    exec_.write(b"abc")
    for upto in (4, 1 << 60):
        with pytest.raises(ProtocolError):
            exec_.input_taken(upto)
    exec_.input_taken(2)
    with pytest.raises(ProtocolError):
        exec_.input_taken(1)


async def test_an_agent_that_comes_back_for_ever_fills_no_memory() -> None:
    sent: list[FromProxy] = []
    exec_ = Exec(1, "exec-1", tty=True, send=sent.append)
    came = 0
    for _ in range(20):
        with suppress(ProtocolError):
            exec_.output(came, bytes(INITIAL_CREDIT_BYTES))
            came += INITIAL_CREDIT_BYTES
        exec_.lost()
        exec_.resumed()
    assert came <= 2 * INITIAL_CREDIT_BYTES
    sent.clear()
    while exec_.take():
        exec_.acknowledge()
    assert Resume(1, came) in sent  # who takes it gets what is left
    exec_.output(came, bytes(INITIAL_CREDIT_BYTES))


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=20), st.data())
async def test_input_arrives_once_however_often_the_agent_was_away(writes: list[bytes], data: st.DataObject) -> None:
    """An agent that takes some of what it holds, and forgets the rest whenever it was away."""
    sent: list[FromProxy] = []
    exec_ = Exec(1, "exec-1", tty=False, send=sent.append)
    taken, held = b"", b""

    def receive() -> bytes:
        came = b"".join(message.data for message in sent if isinstance(message, Input))
        sent.clear()
        return came

    for one in writes:
        exec_.write(one)
        held += receive()
        if data.draw(st.booleans()):
            count = data.draw(st.integers(0, len(held)))
            taken, held = taken + held[:count], held[count:]
            exec_.input_taken(len(taken))
        if data.draw(st.booleans()):
            exec_.lost()
            held = b""
            exec_.resumed()
            exec_.input_taken(len(taken))
            held += receive()
    assert taken + held == b"".join(writes)
