"""Whose turn it is to type into a terminal that several people have before them, and whose window sets its size.

Pure: time is passed in. A person is a number; all tabs and devices of one person are that person.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

HELD_S: Final = 10.0  # after a key: long enough to think in the middle of a line, and to wait for is short
GIVEN_S: Final = 60.0  # after it was given or taken over: time to read what is there before the first key


class Turn:
    """Nobody's until somebody types, who then has it until they have typed nothing for HELD_S, or leave.

    `sizes_for` is who had it last and is still there: their windows set the size also while it is nobody's again, or
    every pause of theirs would resize the terminal twice.
    """

    def __init__(self) -> None:
        self.sizes_for: int | None = None
        self.until_s = 0.0
        self._holder: int | None = None

    def holder(self, now_s: float) -> int | None:
        """None: it is nobody's."""
        return self._holder if now_s < self.until_s else None

    def type(self, person: int, now_s: float) -> bool:
        """Whether they may, now. Who types while it is nobody's has it."""
        if self.holder(now_s) not in (None, person):
            return False
        self._hold(person, max(now_s + HELD_S, self.until_s if person == self._holder else 0.0))
        return True

    def give(self, by: int, to: int, now_s: float) -> bool:
        """Everybody may take it over (`by` is `to`); who has it, or anybody while nobody has, hands it to others."""
        if by != to and self.holder(now_s) not in (None, by):
            return False
        self._hold(to, now_s + GIVEN_S)
        return True

    def left(self, person: int) -> None:
        """The last tab of theirs is gone."""
        if person == self._holder:
            self._holder = None
        if person == self.sizes_for:
            self.sizes_for = None

    def _hold(self, person: int, until_s: float) -> None:
        self._holder = self.sizes_for = person
        self.until_s = until_s


@dataclass(frozen=True, slots=True)
class Shown:
    """The window of one attachment. `size`: columns and rows that it has room for, None while it is hidden."""

    person: int
    can_write: bool
    size: tuple[int, int] | None


def size_for(windows: Iterable[Shown], person: int | None, now: tuple[int, int]) -> tuple[int, int]:
    """The size of a terminal that is `now` large.

    The smallest window of `person`, so that all of theirs show everything; where they have none, the smallest of those
    who may write. Windows that are hidden, or of those who may only look, count for nothing. It depends on nothing but
    what is shown: whatever happened before, the same windows lead to the same size.
    """
    visible = [(one.person, one.size) for one in windows if one.size and one.can_write]
    counting: Sequence[tuple[int, int]] = [size for whose, size in visible if whose == person]
    counting = counting or [size for _, size in visible]
    if not counting:
        return now
    return min(cols for cols, _ in counting), min(rows for _, rows in counting)
