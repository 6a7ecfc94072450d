"""How much of what a page typed was taken, so that after a cut it says again what was lost, and nothing twice."""

import re
from dataclasses import dataclass
from typing import Final

PAGES: Final = 256  # remembered: the last 256 to attach; more than ever show one terminal at once

_PAGE: Final = re.compile(rb"([0-9a-f]{16})\.([0-9]{1,15})")  # its random id, and how many bytes it has sent


@dataclass(slots=True)
class Typed:
    """By one page, over all its connections: `taken` bytes of INPUT. Only its newest connection, `by`, is listened to:
    what an older one still delivers was said again."""

    taken: int
    by: object = None


class TypedByPages:
    """On one terminal."""

    def __init__(self) -> None:
        self._by_id: dict[bytes, Typed] = {}

    def of(self, page: bytes) -> Typed | None:
        """`page`: as the query has it, ID.SENT; None for one that does not count.

        Of a page that is not known all it has sent counts as taken. Nobody knows what of it was, as after a restart: a
        command given twice does harm, a lost key is seen.
        """
        form = _PAGE.fullmatch(page)
        if form is None:
            return None
        typed = self._by_id.pop(form[1], None) or Typed(int(form[2]))
        self._by_id[form[1]] = typed
        if len(self._by_id) > PAGES:
            del self._by_id[next(iter(self._by_id))]
        return typed

    def forget(self, page: bytes) -> int:
        """-> how much was taken of it."""
        form = _PAGE.fullmatch(page)
        typed = self._by_id.pop(form[1], None) if form else None
        return typed.taken if typed else 0
