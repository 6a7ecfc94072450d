"""That a REPL is used, told rarely enough."""

import time
from collections.abc import Callable
from typing import Final

ACTIVITY_S: Final = 1.0  # tell of each kind of activity at most this often


class Activity:
    """Passes on what keeps a REPL awake, rarely: a flood of output is one activity."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told_s: dict[str, float] = {}

    def __call__(self, reason: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s.get(reason, -ACTIVITY_S) >= ACTIVITY_S:
            self._told_s[reason] = now_s
            self._tell(reason)
