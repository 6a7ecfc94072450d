"""How what takes long is told of, and what fails tried again."""

import secrets
import time
from datetime import UTC, datetime
from typing import Final

from runner.errors import DevexError

TOLD_S: Final = 0.2  # how far something is, is told at most this often: more nobody can read
RETRY_FIRST_S: Final = 5.0
RETRY_MOST_S: Final = 300.0


class Pace:
    """Of telling how far something is."""

    def __init__(self) -> None:
        self._told_s = 0.0

    def is_due(self) -> bool:
        """Whether to tell now; the answer counts as told."""
        now_s = time.monotonic()
        due = now_s - self._told_s >= TOLD_S
        self._told_s = now_s if due else self._told_s
        return due


def now() -> str:
    """ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def words(error: BaseException) -> str:
    """One sentence."""
    if isinstance(error, DevexError):
        return error.message
    return "It took too long." if isinstance(error, TimeoutError) else "Something went wrong in DEVEX itself."


def pause_s(failures: int) -> float:
    """Before the next try, after so many failures in a row."""
    jitter: float = 0.75 + secrets.randbelow(500) / 1000
    return jitter * min(RETRY_FIRST_S * float(2 ** min(failures - 1, 10)), RETRY_MOST_S)
