"""What may go out of a terminal, without one."""

from runner.agent.outflow import Outflow
from runner.protocol.messages import FREE_RUN, INITIAL_CREDIT_BYTES
from runner.protocol.ring import RING_BYTES


def filled(size_bytes: int) -> Outflow:
    """One that ran freely while nobody was there."""
    out = Outflow()
    out.detach()
    out.append(bytes(size_bytes))
    return out


def sent(out: Outflow) -> tuple[int, int]:
    """-> from where to where, all that goes out now."""
    first, *rest = iter(out.next_piece, None)
    last = rest[-1] if rest else first
    return first[0], last[0] + len(last[1])


def test_what_is_gone_is_told_without_credit() -> None:
    """The proxy grants what viewers take who wait for bytes that are gone, and the link may be full as it resumes."""
    out = filled(RING_BYTES + 5000)
    out.attach(100)
    out.grant(100)
    assert sent(out) == (5000, 5001)
    assert out.next_piece() is None
    out.grant(5100)
    assert sent(out) == (5001, 5100)


def test_without_credit_nothing_goes_out_that_the_proxy_can_wait_for() -> None:
    out = filled(3000)
    out.attach(1000)
    out.grant(1000)
    assert out.next_piece() is None
    assert out.room_bytes(True) == 0


def test_what_is_appended_on_top_of_a_full_ring_takes_no_place_of_what_is_sent() -> None:
    out = Outflow()
    out.detach()
    out.append(b"old" + bytes(RING_BYTES - 3))
    out.attach(0)
    out.grant(0)
    out.append(b"new")
    out.grant(FREE_RUN)
    offset, data = out.next_piece() or (0, b"")
    assert (offset, data[:3]) == (3, bytes(3))


def test_it_takes_in_as_much_as_may_go_out() -> None:
    out = Outflow()
    assert out.room_bytes(False) == 0
    out.append(b"seen")
    assert out.room_bytes(True) == 0
    assert sent(out) == (0, 4)
    out.grant(10)
    assert out.room_bytes(True) == 6
    out.detach()
    assert out.room_bytes(False) > 0
    out.attach(4)
    assert out.is_sent
    assert out.room_bytes(True) <= INITIAL_CREDIT_BYTES
