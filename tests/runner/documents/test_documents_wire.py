import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.documents import wire

splices = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40), st.binary(max_size=9)), max_size=5).map(
    tuple
)
fields = {
    int: st.integers(0, 2**53 - 1),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=20),
    wire.Splices: splices,
}
messages = st.sampled_from(list(wire.KINDS.values())).flatmap(
    lambda kind: st.tuples(*(fields[hint] for hint in kind.__annotations__.values())).map(lambda values: kind(*values))
)


@given(messages)
def test_a_message_survives_the_wire(message: wire.Message) -> None:
    assert wire.decode(wire.encode(message)) == message


@given(messages, st.data())
def test_cut_or_lengthened_frames_are_refused(message: wire.Message, data: st.DataObject) -> None:
    frame = wire.encode(message)
    with pytest.raises(wire.BadMessage):
        wire.decode(frame[: data.draw(st.integers(0, len(frame) - 1))])
    with pytest.raises(wire.BadMessage):
        wire.decode(frame + b"\0")


@given(st.binary(max_size=60))
def test_garbage_is_a_message_or_a_wire_error(frame: bytes) -> None:
    try:
        wire.decode(frame)
    except wire.BadMessage:
        pass


def test_an_oversized_frame_is_refused() -> None:
    with pytest.raises(wire.BadMessage):
        wire.decode(b"\x08" + b"\0" * wire.MAX_FRAME_BYTES)


def test_a_swarm_of_splices_is_refused() -> None:
    with pytest.raises(wire.BadMessage):
        wire.decode(wire.encode(wire.Rebase(1, b"", ((0, 0, b""),) * (wire.MAX_SPLICES + 1))))
