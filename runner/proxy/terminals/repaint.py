"""Has a full-screen program draw its whole screen once more, for who missed some of it."""

import asyncio
from collections.abc import Callable
from typing import Final

# In which a program notices that its terminal is a column smaller; where it finds the old size again, it draws nothing.
SMALLER_S: Final = 0.25
EVERY_S: Final = 10.0  # at most: everybody sees it drawn anew, and of those who fall behind nobody shall keep it busy


class Repaint:
    """`resize` tells the PTY a size. Programs draw anew by nothing but another size: for a moment theirs has a column
    less, which nobody's screen has. (A row less, and an editor would scroll.)"""

    def __init__(self, resize: Callable[[int, int], None], size: Callable[[], tuple[int, int]]) -> None:
        self._resize = resize
        self._size = size
        self._later: asyncio.TimerHandle | None = None
        self._again = False

    def ask(self) -> None:
        """Now, or when it may be asked again."""
        if self._later:
            self._again = True
            return
        cols, rows = self._size()
        self._resize(cols - 1 if cols > 2 else 3, rows)
        self._later = asyncio.get_running_loop().call_later(SMALLER_S, self._back)

    def close(self) -> None:
        """Ask no more."""
        if self._later:
            self._later.cancel()

    def _back(self) -> None:
        self._resize(*self._size())
        self._later = asyncio.get_running_loop().call_later(EVERY_S, self._rested)

    def _rested(self) -> None:
        self._later = None
        if self._again:
            self._again = False
            self.ask()
