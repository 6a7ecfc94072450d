"""The modes of a terminal at any place of its output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.protocol.ring import RING_BYTES, Ring
from runner.proxy.terminals.modes import MARK_BYTES, ModeLog, Modes

VIM = b"\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[?1006;1002h\x1b[1;40r\x1b[?25l"
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                b"\x1b[?%d%c" % (number, to)
                for number in (1, 7, 25, 1000, 1002, 1006, 1047, 1049, 2004)
                for to in b"hl"
            ),
            *(
                b"\x1b[4h",
                b"\x1b[4l",
                b"\x1b[2;9r",
                b"\x1b[r",
                b"\x1b[!p",
                b"\x1bc",
                b"\x1b=",
                b"\x1b>",
                b"\x1b(0",
                b"\x1b(B",
            ),
            *(b"\x1b[31m", b"text\r\n", b"\x1b", b"\x1b[?", b"\x1b[1;", b"\x1b]0;title\x07", "é".encode()),
        ]
    ),
    max_size=30,
)


def after(data: bytes) -> Modes:
    modes = Modes()
    modes.feed(data)
    return modes


@pytest.mark.parametrize(
    ("output", "restoring"),
    [
        (b"plain \x1b[31mred\x1b[0m\r\n", b""),
        (VIM, b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1006h\x1b[?1002h\x1b[1;40r\x1b[40;1H\x1b[?25l"),
        (VIM + b"\x1b[r\x1b[?1049l\x1b[?1l\x1b>\x1b[?2004l\x1b[?1002l\x1b[?1006l\x1b[?25h", b""),
        (
            VIM + b"\x1b[?1000h",
            b"\x1b[?1049h\x1b[?1h\x1b=\x1b[?2004h\x1b[?1006h\x1b[?1000h\x1b[1;40r\x1b[40;1H\x1b[?25l",
        ),
        (VIM + b"\x1b[!p", b"\x1b[?1049h\x1b[?1006h\x1b[?1002h"),
        (VIM + b"\x1bc", b""),
        (b"\x1b[?7l\x1b(0\x1b[4h", b"\x1b[?7l\x1b(0\x1b[4h"),
        (b"\x1b[?9999h\x1b[?2026h\x1b[?h", b""),
    ],
)
def test_what_brings_a_new_terminal_there(output: bytes, restoring: bytes) -> None:
    assert after(output).restoring() == restoring


@given(PIECES, st.lists(st.integers(0, 200)))
def test_it_is_the_same_however_it_comes_in_parts_and_when_it_is_restored(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole, parts = after(data), Modes()
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for start, end in zip([0, *ends], ends, strict=False):
        parts.feed(data[start:end])
    assert parts.state == whole.state
    assert after(whole.restoring()).state == whole.state


@given(st.lists(st.tuples(PIECES, st.integers(0, 2 * MARK_BYTES)), max_size=8), st.floats(0, 1))
def test_they_are_known_at_any_place_of_the_ring(parts: list[tuple[list[bytes], int]], share: float) -> None:
    ring = Ring()
    log = ModeLog(ring)
    data = b""
    for pieces, filling in parts:
        fresh = b"".join(pieces) + b"." * filling
        log.output(len(data), fresh)
        ring.append(len(data), fresh)
        data += fresh
    offset = int(share * len(data))
    rest = data[offset : offset + 80]
    modes = log.at(offset)
    modes.feed(rest)  # of a sequence that was cut there
    assert modes.state == after(data[:offset] + rest).state
    assert log.alternate == after(data).alternate


def test_where_the_ring_begins_they_are_those_of_soon_after() -> None:
    ring = Ring()
    log = ModeLog(ring)
    for at in range(0, 2 * RING_BYTES, 8192):
        data = VIM + b"." * (8192 - len(VIM)) if at == 8192 else b"." * 8192
        log.output(at, data)
        ring.append(at, data)
    assert log.at(ring.start).state == after(VIM).state
    assert log.at(ring.end).state == after(VIM).state


def test_a_program_that_changes_them_all_the_time_is_known_by_what_it_did_last() -> None:
    assert after(b"\x1b[?1049h\x1b[?1049l" * 5000 + b"\x1b[?1049h").alternate
