"""The ring against the plain bytes it stands for."""

from hypothesis import given
from hypothesis import strategies as st

from runner.protocol.ring import Ring


@given(st.lists(st.tuples(st.integers(-5, 5), st.binary(max_size=40)), max_size=30))
def test_a_ring_holds_the_last_bytes_at_their_offsets(pieces: list[tuple[int, bytes]]) -> None:
    """Against a plain dictionary: pieces overlap, follow on or leave a hole."""
    ring = Ring(100, size_bytes=32)
    model: dict[int, int] = {}
    start = end = 100
    for shift, data in pieces:
        offset = max(0, end + shift)
        if offset > end:
            model, start, end = {}, offset, offset
        for index, byte in enumerate(data):
            if offset + index >= end:
                model[offset + index] = byte
        end = max(end, offset + len(data))
        start = max(start, end - 32)
        ring.append(offset, data)
        assert (ring.start, ring.end) == (start, end)
        held = bytes(model[at] for at in range(start, end))
        assert ring.since(end) == b""
        for at in range(start, end):
            assert ring.since(at) == held[at - start :]
            part = ring.read(at, 7)
            assert part
            assert part == held[at - start :][: len(part)]
