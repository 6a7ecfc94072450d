"""Who has one terminal before them, and whose turn it is to type: as everybody there is told."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from runner.proxy.terminals import wire
from runner.proxy.terminals.turns import Shown, Turn, size_for
from runner.viewer import Viewer

if TYPE_CHECKING:
    from runner.proxy.terminals.attachment import Attachment

MOST_TOLD: Final = 50  # more are counted only: nobody reads a longer list, and each change is told to each of them
PERSON_CHARACTERS: Final = 80  # twice the longest name of an account: PEOPLE stays small whoever comes
ALONE: Final = wire.people({"people": [], "turn": None, "count": 1})


class People:
    """`told` is the PEOPLE message for everybody; `on_changed` is called when it becomes another one."""

    def __init__(self, attachments: Sequence["Attachment"], on_changed: Callable[[], None]) -> None:
        self.told = ALONE
        self._attachments = attachments  # the terminal's, the first comer first
        self._on_changed = on_changed
        self._turn = Turn()
        self._holder: int | None = None  # as it was told
        self._last = 0
        self._check: asyncio.TimerHandle | None = None

    def number_of(self, viewer: Viewer) -> int:
        """What somebody who comes is called on this terminal: as on their other tabs, or a new number."""
        for one in self._attachments:
            if one.viewer.user_id == viewer.user_id:
                return one.person
        self._last += 1
        return self._last

    def came(self) -> None:
        """Somebody is attached now."""
        self._tell()

    def left(self, person: int) -> None:
        """An attachment of theirs is gone."""
        if all(one.person != person for one in self._attachments):
            self._turn.left(person)
        self._tell()

    def may_type(self, attachment: "Attachment") -> bool:
        """Take the turn, if that can be. Who may not is told who has it."""
        now_s = time.monotonic()
        if not attachment.can_write:
            return False
        allowed = self._turn.type(attachment.person, now_s)
        if self._turn.holder(now_s) != self._holder:
            self._tell()
        return allowed

    def give(self, by: "Attachment", to: int) -> bool:
        """Hand the turn to a person who may type and is here, or take it over. Whether that was done."""
        there = any(one.person == to and one.can_write for one in self._attachments)
        if not by.can_write or not there or not self._turn.give(by.person, to, time.monotonic()):
            return False
        self._tell()
        return True

    @property
    def holder(self) -> int | None:
        """Whose turn it is, None: nobody's."""
        return self._turn.holder(time.monotonic())

    def size(self, now: tuple[int, int]) -> tuple[int, int]:
        """Which size the terminal, which is `now` large, has for those who are here."""
        shown = [Shown(one.person, one.can_write, one.size) for one in self._attachments]
        return size_for(shown, self._turn.sizes_for, now)

    def close(self) -> None:
        """Nobody is told anything any more."""
        if self._check:
            self._check.cancel()

    def _tell(self) -> None:
        now_s = time.monotonic()
        self._holder = self._turn.holder(now_s)
        told = _message(self._attachments, self._holder)
        if self._check:
            self._check.cancel()
            self._check = None
        if told != ALONE and self._holder is not None:  # they may stop typing, and that is to be told
            self._check = asyncio.get_running_loop().call_later(self._turn.until_s - now_s, self._tell)
        if told != self.told:
            self.told = told
            self._on_changed()


def _message(attachments: Sequence["Attachment"], holder: int | None) -> bytes:
    people: dict[int, dict[str, Any]] = {}
    for one in attachments:
        name = one.viewer.name[:PERSON_CHARACTERS]
        about = people.setdefault(one.person, {"n": one.person, "name": name, "can_write": False})
        about["can_write"] |= one.can_write
    if len(people) < 2:
        return ALONE
    first = sorted(people.values(), key=lambda about: (about["n"] != holder, not about["can_write"]))
    return wire.people({"people": first[:MOST_TOLD], "turn": holder, "count": len(people)})
