"""Whose turn it is, and which size, whatever several people do in whatever order."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from runner.proxy.terminals.turns import GIVEN_S, HELD_S, Shown, Turn, size_for

PEOPLE = st.integers(1, 3)
SIZES = st.none() | st.tuples(st.integers(2, 9), st.integers(2, 9))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), PEOPLE),
        st.tuples(st.just("give"), PEOPLE, PEOPLE),
        st.tuples(st.just("leave"), PEOPLE),
        st.tuples(st.just("wait"), st.sampled_from([0.1, HELD_S / 2, HELD_S, GIVEN_S])),
        st.tuples(st.just("attach"), PEOPLE, st.booleans()),
        st.tuples(st.just("show"), st.integers(0, 5), SIZES),
        st.tuples(st.just("detach"), st.integers(0, 5)),
    ),
    max_size=40,
)


@given(STEPS)
def test_one_person_at_most_has_the_turn_and_nobody_waits_for_ever(steps: list[tuple[object, ...]]) -> None:
    turn, now_s = Turn(), 0.0
    for step in steps:
        before = turn.holder(now_s)
        match step:
            case ("type", int(person)):
                assert turn.type(person, now_s) == (before in (None, person))
                assert turn.holder(now_s) == (before or person), "free: theirs; somebody's: it stays"
            case ("give", int(by), int(to)):
                given = turn.give(by, to, now_s)
                assert given == (by == to or before in (None, by))
                assert turn.holder(now_s) == (to if given else before)
            case ("leave", int(person)):
                turn.left(person)
                assert turn.holder(now_s) == (None if before == person else before)
            case ("wait", float(for_s)):
                now_s += for_s
                assert turn.holder(now_s) in (None, before), "time gives it to nobody"
    assert turn.holder(now_s + max(HELD_S, GIVEN_S)) is None


def test_a_key_does_not_shorten_what_was_given() -> None:
    turn = Turn()
    assert turn.give(1, 2, 0.0)
    assert turn.type(2, 1.0)
    assert turn.holder(GIVEN_S - 1) == 2


@dataclass
class Place:
    """A terminal, its people and their windows, as the proxy keeps them; `resizes` is what its PTY was told."""

    turn: Turn = field(default_factory=Turn)
    windows: list[Shown] = field(default_factory=list)
    size: tuple[int, int] = (80, 24)
    resizes: int = 0
    now_s: float = 0.0

    def settle(self) -> bool:
        """Whether that resized it."""
        size = size_for(self.windows, self.turn.sizes_for, self.size)
        changed, self.size = size != self.size, size
        self.resizes += changed
        return changed

    def change(self, step: tuple[object, ...]) -> None:
        match step:
            case ("type", int(person)) if any(one.person == person and one.can_write for one in self.windows):
                self.turn.type(person, self.now_s)
            case ("give", int(by), int(to)) if {by, to} <= {one.person for one in self.windows if one.can_write}:
                self.turn.give(by, to, self.now_s)
            case ("wait", float(for_s)):
                self.now_s += for_s
            case ("attach", int(person), bool(can_write)):
                self.windows.append(Shown(person, can_write, None))
            case ("show", int(at), size) if at < len(self.windows):
                one = self.windows[at]
                self.windows[at] = Shown(one.person, one.can_write, size)  # type: ignore[arg-type]
            case ("detach", int(at)) if at < len(self.windows):
                gone = self.windows.pop(at)
                if all(one.person != gone.person for one in self.windows):
                    self.turn.left(gone.person)


@given(STEPS)
def test_windows_do_not_fight(steps: list[tuple[object, ...]]) -> None:
    place = Place()
    for step in steps:
        had, looked = place.turn.sizes_for, [one for one in place.windows if one.can_write]
        place.change(step)
        if place.settle():
            looks = [one for one in place.windows if one.can_write]
            assert place.turn.sizes_for != had or looks != looked, "keys, pauses and those who look resize nothing"
        assert not place.settle(), "it is stable at once"
        visible = [one for one in place.windows if one.size and one.can_write]
        own = [one for one in visible if one.person == place.turn.sizes_for] or visible
        for one in own:
            assert one.size
            assert place.size[0] <= one.size[0], "whoever has the turn sees everything, on each of their screens"
            assert place.size[1] <= one.size[1]
    assert place.resizes <= len(steps)
