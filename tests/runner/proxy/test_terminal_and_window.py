"""The pure parts of a terminal."""

from dataclasses import replace

from runner.protocol.ring import RING_BYTES
from runner.proxy.terminals import wire
from runner.proxy.terminals.attachment import PIECE_BYTES, SCREEN_BYTES
from runner.proxy.terminals.exits import Exit
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.window import FIRST_WINDOW_BYTES, MAX_WINDOW_BYTES, MIN_WINDOW_BYTES, QUEUE_S, Window
from runner.proxy.terminals.wire import GAP, OUTPUT, READY
from runner.viewer import Viewer

ADA = Viewer("u1", "Ada", can_write=True)


def settled(rate_per_s: float, round_trip_s: float) -> int:
    """The window after a while on a link of that rate and round trip, always filled."""
    window = Window()
    now_s, offset = 0.0, 0
    window.sent(100, 0, now_s)
    window.acknowledged(100, round_trip_s)
    for _ in range(200):
        size = window.size_bytes
        window.sent(offset + size, offset, now_s)
        now_s += max(round_trip_s, size / rate_per_s)
        offset += size
        window.acknowledged(offset, now_s)
    return window.size_bytes


def test_the_window_fits_the_link() -> None:
    assert settled(200e6, 0.0005) == MAX_WINDOW_BYTES
    assert settled(1e4, 0.05) == MIN_WINDOW_BYTES
    slow = settled(1e6, 0.04)
    assert abs(slow - 1e6 * (0.04 + QUEUE_S)) < 3000, "a round trip and what may wait"


def test_a_key_does_not_shrink_the_window() -> None:
    window = Window()
    window.sent(1, 0, 0.0)
    window.acknowledged(1, 0.2)
    assert window.size_bytes == FIRST_WINDOW_BYTES


class Agent:
    """What a terminal tells the agent."""

    def __init__(self) -> None:
        self.granted: list[int] = []
        self.sizes: list[tuple[int, int]] = []


def terminal_of(agent: Agent, start: int = 0) -> Terminal:
    return Terminal(
        "sh-1-00000000",
        "shell",
        1,
        (80, 24),
        start=start,
        grant=agent.granted.append,
        resize=lambda cols, rows: agent.sizes.append((cols, rows)),
    )


async def test_nobody_attached_lets_output_run_and_the_fastest_viewer_takes_that_back() -> None:
    agent = Agent()
    terminal = terminal_of(agent)
    terminal.settle_credit()
    assert agent.granted == [1 << 63]
    slow = terminal.attach(0, ADA)
    fast = terminal.attach(0, ADA)
    assert agent.granted[-1] == FIRST_WINDOW_BYTES
    terminal.output(0, bytes(FIRST_WINDOW_BYTES))
    while fast.next_frame():
        pass
    terminal.acknowledge(fast, FIRST_WINDOW_BYTES)
    assert agent.granted[-1] == fast.upto > FIRST_WINDOW_BYTES
    terminal.detach(fast)
    assert agent.granted[-1] == slow.upto
    terminal.detach(slow)
    assert agent.granted[-1] == 1 << 63
    terminal.close(4404)


async def test_frames_come_in_order_and_within_the_window() -> None:
    terminal = terminal_of(Agent(), start=1000)
    viewer = terminal.attach(0, replace(ADA, can_write=False))
    terminal.output(1000, bytes(300_000))
    terminal.exited(Exit(0))
    kinds = []
    while frame := viewer.next_frame():
        kinds.append(frame[0])
    assert kinds == [READY, GAP, OUTPUT]
    assert viewer.sent - viewer.acknowledged == FIRST_WINDOW_BYTES
    assert terminal.exit == Exit(0), "but it is told behind the last byte only"
    terminal.close(4404)


async def test_the_size_is_sent_again_to_an_agent_that_was_away() -> None:
    agent = Agent()
    terminal = terminal_of(agent)
    viewer = terminal.attach(0, ADA)
    terminal.show(viewer, 50, 20)
    terminal.resumed()
    assert agent.sizes == [(50, 20), (50, 20)]
    terminal.close(4404)


async def test_who_acknowledges_nothing_is_sent_a_window_and_no_more() -> None:
    terminal = terminal_of(Agent())
    frozen = terminal.attach(0, ADA)
    for at in range(0, 4 * RING_BYTES, PIECE_BYTES):
        terminal.output(at, bytes(PIECE_BYTES))
        while frozen.next_frame():
            pass
    assert frozen.sent == FIRST_WINDOW_BYTES
    terminal.acknowledge(frozen, frozen.sent)
    assert frozen.next_frame() == wire.gap(FIRST_WINDOW_BYTES, 4 * RING_BYTES - SCREEN_BYTES)
    terminal.close(4404)


async def test_a_gap_that_grows_before_it_is_told_is_told_whole() -> None:
    terminal = terminal_of(Agent())
    terminal.output(0, bytes(RING_BYTES + 10))
    late = terminal.attach(4, ADA)
    terminal.output(RING_BYTES + 10, bytes(100))
    frames = [frame for frame in iter(late.next_frame, None) if frame[0] == GAP]
    assert frames == [wire.gap(4, RING_BYTES + 110 - SCREEN_BYTES)]
    terminal.close(4404)
