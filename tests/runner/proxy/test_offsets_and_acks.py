"""What is promised of terminals, and then what is done to them: links are cut, whoever is slow, killed or away, at
whatever moment hypothesis thinks of. The parts are the real ones, see terminal_model.py.
"""

from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runner.proxy.terminals.window import MAX_WINDOW_BYTES
from tests.runner.proxy.page_in_node import Node
from tests.runner.proxy.terminal_model import World, written

VIEWERS: Final = ("ada", "bob", "eve")
SOCKETS_BYTES: Final = (1, 128 * 1024)  # on the way to a page before whoever sends waits
EXAMPLES: Final = 60  # 10 s; none is made smaller when one fails, which takes minutes
KEPT_BYTES: Final = 64 * 1024  # typed while away
ACK_MS: Final = 10
STALL_MS: Final = 6_000
HEALING_ROUNDS: Final = 400  # of ACK_MS each: less than STALL_MS, which would hide that somebody waits for ever

# What is promised


def what_is_shown_is_the_output(world: World) -> None:
    """Each byte at its place, but for marks that say how many are gone."""
    for page in world.pages.values():
        while page.shown:
            start, shown = page.shown.popleft()
            assert shown == written(start, start + len(shown))
        assert all(size > 0 for size in page.marks)


def what_is_typed_arrives_once_and_in_order(world: World) -> None:
    """But for some of what was typed into a proxy that was killed."""
    for page in world.pages.values():
        assert page.came == sorted(set(page.came)), "a key came twice"
        lost = {*range(page.came[-1] if page.came else 0)}.difference(page.came)
        assert all(page.place(number + 1) <= page.doubtful_bytes for number in lost), "a key is lost"


def each_piece_begins_where_the_last_one_ends(world: World) -> None:
    """Marks of what is missing are pieces, too."""
    for socket in world.sockets:
        assert not socket.has_holes


def at_most_a_window_is_not_acknowledged(world: World) -> None:
    """And nothing of it when a gap is skipped: what came before that is on the screen."""
    for socket in world.sockets:
        assert socket.most_ahead_bytes <= MAX_WINDOW_BYTES
        assert not socket.skipped_unseen


def the_pty_is_read_as_far_as_the_fastest_page_allows(world: World) -> None:
    while world.link.credits:
        granted, wanted = world.link.credits.popleft()
        assert granted == wanted


ALWAYS: Final = (
    what_is_shown_is_the_output,
    what_is_typed_arrives_once_and_in_order,
    each_piece_begins_where_the_last_one_ends,
    at_most_a_window_is_not_acknowledged,
    the_pty_is_read_as_far_as_the_fastest_page_allows,
)


def everything_has_arrived(world: World) -> bool:
    """As it does in the end, when all are there again: nobody waits for ever."""
    return not world.agent.unwritten and all(
        page.position == world.agent.out.ring.end
        and all(
            page.place(number + 1) <= page.doubtful_bytes
            for number in range(page.came[-1] + 1 if page.came else 0, len(page.typed))
        )
        for page in world.pages.values()
    )


# What is done


class Mishaps(RuleBasedStateMachine):
    node: Node

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.node)

    @initialize()
    def begin(self) -> None:
        self.world.begin()

    @invariant()
    def all_is_as_promised(self) -> None:
        for promise in ALWAYS:
            promise(self.world)

    def teardown(self) -> None:
        try:
            if self.world.agent.opened:
                self.heal()
                self.all_is_as_promised()
        finally:
            self.world.end()

    # To the program and its agent

    @rule(size=st.sampled_from([1, 100, 5_000, 70_000, 400_000, 1_200_000]))
    def program_writes(self, size: int) -> None:
        self.world.write(size)

    @rule(count=st.integers(1, 8))
    def proxy_hears(self, count: int) -> None:
        self.world.proxy_hears(count)

    @rule(count=st.integers(1, 8))
    def agent_hears(self, count: int) -> None:
        self.world.agent_hears(count)

    @precondition(lambda self: self.world.agent.up)
    @rule()
    def link_breaks(self) -> None:
        self.world.break_link()

    @precondition(lambda self: not self.world.agent.up)
    @rule(writes=st.sampled_from([0, 1000, 2_000_000]), others_flood=st.booleans())
    def agent_dials(self, writes: int, others_flood: bool) -> None:
        self.world.join_link(writes)
        self.world.agent.others_fill_the_link = others_flood

    @rule()
    def proxy_is_killed_and_started_again(self) -> None:
        self.world.restart_proxy()

    # To pages

    @precondition(lambda self: len(self.world.pages) < len(VIEWERS))
    @rule(size_bytes=st.sampled_from(SOCKETS_BYTES), at_once=st.booleans())
    def somebody_comes(self, size_bytes: int, at_once: bool) -> None:
        viewer = VIEWERS[len(self.world.pages)]
        self.world.come(viewer)
        self.world.connect(viewer, size_bytes, at_once=at_once)

    @rule(viewer=st.sampled_from(VIEWERS), size_bytes=st.sampled_from(SOCKETS_BYTES), at_once=st.booleans())
    def page_connects(self, viewer: str, size_bytes: int, at_once: bool) -> None:
        self.world.connect(viewer, size_bytes, at_once=at_once)

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8), output=st.integers(0, 2))
    def page_hears(self, viewer: str, count: int, output: int) -> None:
        self.world.page_hears(viewer, count, output=output)

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8))
    def page_is_heard(self, viewer: str, count: int) -> None:
        self.world.page_is_heard(viewer, count)

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8))
    def page_renders(self, viewer: str, count: int) -> None:
        self.world.render(viewer, count)

    @rule(count=st.integers(1, 3), size=st.sampled_from([8, 8, 5_000, 16_000]))
    def people_type(self, count: int, size: int) -> None:
        for viewer, page in list(self.world.pages.items()) * count:
            if page.is_ready or page.place(len(page.typed)) - page.told_bytes + size <= KEPT_BYTES:
                self.world.type(viewer, size)

    @rule(viewer=st.sampled_from(VIEWERS))
    def socket_is_cut(self, viewer: str) -> None:
        if (page := self.world.pages.get(viewer)) and page.socket:
            self.world.cut(viewer)

    @rule(viewer=st.sampled_from(VIEWERS))
    def socket_is_swallowed(self, viewer: str) -> None:
        if viewer in self.world.pages:
            self.world.swallow(viewer)

    @rule(viewer=st.sampled_from(VIEWERS))
    def page_is_loaded_anew(self, viewer: str) -> None:
        if viewer in self.world.pages:
            self.world.reload(viewer)

    @rule(heard=st.integers(0, 3), told=st.booleans(), reload=st.booleans(), arrive=st.booleans())
    def people_type_into_a_black_hole(self, heard: int, told: bool, reload: bool, arrive: bool) -> None:
        """And come back, perhaps as pages that are loaded anew; what was on the way is lost, or arrives afterwards."""
        world = self.world
        for viewer in world.pages:
            world.page_hears(viewer, 8)
        self.people_type(3, 8)
        for viewer in world.pages:
            world.page_is_heard(viewer, heard)
            world.page_hears(viewer, 8 if told else 0)
            world.swallow(viewer)
            if reload:
                world.reload(viewer)
        world.pass_time(500)
        for viewer in world.pages:
            world.connect(viewer, SOCKETS_BYTES[-1], at_once=True)
            world.page_hears(viewer, 1)  # READY
            world.page_is_heard(viewer, heard)
        if arrive:
            world.deliver_late()
        else:
            world.lose_late()

    @rule()
    def late_bytes_arrive(self) -> None:
        self.world.deliver_late()

    @rule()
    def late_bytes_are_lost(self) -> None:
        self.world.lose_late()

    @rule(ms=st.sampled_from([1, ACK_MS, 500, STALL_MS]))
    def time_passes(self, ms: int) -> None:
        self.world.pass_time(ms)

    @precondition(lambda self: self.world.agent.up and not self.world.agent.unwritten)
    @rule()
    def pages_freeze_while_the_program_floods(self) -> None:
        """They are sent something and render nothing; the ring goes on without them."""
        world = self.world
        for size, ms in ((100_000, STALL_MS), (1_200_000, 1)):
            world.write(size)
            for _ in range(3):
                world.agent_hears(1000)
                world.proxy_hears(1000)
            for viewer in world.pages:
                world.page_hears(viewer, 8)
            world.pass_time(ms)

    @rule()
    def all_is_well_for_a_while(self) -> None:
        world = self.world
        world.agent_hears(1000)
        world.proxy_hears(1000)
        for viewer in world.pages:
            world.page_hears(viewer, 1000)
            world.render(viewer, 1000)
            world.page_is_heard(viewer, 1000)
        world.pass_time(ACK_MS)

    def heal(self) -> None:
        """Everybody is there again and takes what comes: everything arrives, without waiting for who is slow."""
        world = self.world
        if world.agent.up:
            world.break_link()
        for there in (False, True):  # before and after the agent is
            if there:
                self.agent_dials(2_000_000, True)
            for viewer, page in world.pages.items():
                while world.terminals.listing() and not page.socket:
                    world.connect(viewer, SOCKETS_BYTES[-1], at_once=len(world.sockets) % 2 == 0)
                    world.pass_time(1000)
        world.deliver_late()
        world.lose_late()
        for _ in range(HEALING_ROUNDS):
            if everything_has_arrived(world):
                return
            self.all_is_well_for_a_while()
        assert everything_has_arrived(world), "somebody waits for ever"


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.end()


def test_nothing_is_lost_or_repeated_whatever_is_cut(node: Node) -> None:
    Mishaps.node = node
    run_state_machine_as_test(
        Mishaps, settings=settings(max_examples=EXAMPLES, stateful_step_count=80, phases=[Phase.generate])
    )


def test_what_waits_for_room_goes_before_what_comes(node: Node) -> None:
    world = World(node)
    world.begin()
    try:
        world.write(2_000_000)
        while world.agent.sent or world.agent.unwritten:
            world.agent_hears(1000)
            world.proxy_hears(1000)
        world.come("ada")
        world.connect("ada", SOCKETS_BYTES[0], at_once=True)  # the mark of what has left the ring waits behind READY
        world.write(1)
        world.page_hears("ada", 1, output=1)
        while world.pages["ada"].position < world.agent.out.ring.end:
            world.agent_hears(1000)
            world.proxy_hears(1000)
            world.page_hears("ada", 1)
            world.render("ada", 1)
            world.page_is_heard("ada", 1)
            world.pass_time(ACK_MS)
        what_is_shown_is_the_output(world)
        each_piece_begins_where_the_last_one_ends(world)
    finally:
        world.end()
