"""The ring against the plain bytes it stands for."""

from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.agent.ring import Ring

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # cores may be shared


@contextmanager
def ring_of(size_bytes: int) -> Iterator[Ring]:
    ring = Ring(size_bytes)
    try:
        yield ring
    finally:
        ring.close()


def read_all(ring: Ring, offset: int, limit_bytes: int) -> bytes:
    found = b""
    while piece := ring.read(offset + len(found), limit_bytes):
        assert len(piece) <= limit_bytes
        found += piece
    return found


@patient
@given(
    size_bytes=st.integers(1, 50),
    pieces=st.lists(st.binary(max_size=120), max_size=30),
    limit_bytes=st.integers(1, 70),
    data=st.data(),
)
def test_it_holds_the_last_bytes_of_all(
    size_bytes: int, pieces: list[bytes], limit_bytes: int, data: st.DataObject
) -> None:
    with ring_of(size_bytes) as ring:
        written = b""
        for piece in pieces:
            ring.append(piece)
            written += piece
            assert ring.end == len(written)
            assert ring.start == max(0, len(written) - size_bytes)
            offset = data.draw(st.integers(ring.start, ring.end))
            assert read_all(ring, offset, limit_bytes) == written[offset:]


def test_an_empty_ring_holds_nothing() -> None:
    with ring_of(8) as ring:
        assert (ring.start, ring.end, ring.read(0, 100)) == (0, 0, b"")
