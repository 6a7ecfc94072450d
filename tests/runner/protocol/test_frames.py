"""Framing: any splitting gives the same frames, and nothing is buffered that is too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.protocol.errors import ProtocolError
from runner.protocol.frames import HEADER, HEADER_BYTES, MAX_FRAME_BYTES, Decoder, encode_frame, parse_header

FRAMES = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=20)


@given(frames=FRAMES, data=st.data())
def test_any_splitting_gives_the_same_frames(frames: list[tuple[int, bytes]], data: st.DataObject) -> None:
    wire = b"".join(encode_frame(kind, body) for kind, body in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=30)))
    decoder, found = Decoder(), []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += decoder.feed(wire[start:end])
    assert found == frames


def test_byte_by_byte() -> None:
    decoder = Decoder()
    wire = encode_frame(7, b"abc") + encode_frame(8, b"")
    assert [frame for byte in wire for frame in decoder.feed(bytes([byte]))] == [(7, b"abc"), (8, b"")]


@given(length=st.integers(0, 2**32 - 1), kind=st.integers(0, 255))
def test_only_an_allowed_length_passes(length: int, kind: int) -> None:
    header = HEADER.pack(length, kind)
    if 1 <= length <= MAX_FRAME_BYTES:
        assert parse_header(header) == (kind, length - 1)
        assert Decoder().feed(header) == ([(kind, b"")] if length == 1 else [])
    else:
        with pytest.raises(ProtocolError):
            parse_header(header)
        with pytest.raises(ProtocolError):
            Decoder().feed(header)


def test_a_refused_connection_stays_refused() -> None:
    decoder = Decoder()
    for _ in range(2):
        with pytest.raises(ProtocolError):
            decoder.feed(b"\xff" * HEADER_BYTES)


def test_frames_before_a_refused_one_do_not_save_it() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(encode_frame(1, b"fine") + HEADER.pack(2**32 - 1, 1))


def test_a_limit_of_ones_own_holds_both_ways() -> None:
    with pytest.raises(ProtocolError):
        encode_frame(1, b"12345", max_frame_bytes=5)
    with pytest.raises(ProtocolError):
        Decoder(max_frame_bytes=5).feed(encode_frame(1, b"12345"))
    assert Decoder(max_frame_bytes=5).feed(encode_frame(1, b"1234")) == [(1, b"1234")]


@given(garbage=st.binary(max_size=200))
def test_garbage_is_frames_or_a_protocol_error(garbage: bytes) -> None:
    try:
        frames = Decoder().feed(garbage)
    except ProtocolError:
        return
    assert b"".join(encode_frame(kind, body) for kind, body in frames) == garbage[: sum(5 + len(b) for _, b in frames)]
