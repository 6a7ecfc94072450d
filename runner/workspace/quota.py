"""How much the workspace may hold. Measured by our own scan, never by what the sandbox says."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from runner.errors import DevexError

FRESH_S: Final = 5.0
FRESH_DUTY: Final = 20  # a measurement is trusted this many times as long as it took: at most 5 % of a core


class Usage(NamedTuple):
    disk_bytes: int
    entries: int


UNLIMITED: Final = Usage(sys.maxsize, sys.maxsize)


class Quota:
    """Blocks; used from many threads. `measure` scans what is used."""

    def __init__(self, measure: Callable[[], Usage], limit: Usage) -> None:
        self.limit = limit
        self._scan = measure
        self._used = Usage(0, 0)
        self._trusted_until = 0.0
        self._lock = threading.Lock()

    def claim(self, more_bytes: int, more_entries: int = 0) -> None:
        """Before writing. Raises DevexError `quota` (507); what makes nothing larger is always allowed."""
        if (more_bytes <= 0 and more_entries <= 0) or self.limit == UNLIMITED:
            return
        with self._lock:
            if time.monotonic() > self._trusted_until or self._exceeded(more_bytes, more_entries):
                self._measure()
            if exceeded := self._exceeded(more_bytes, more_entries):
                raise DevexError(
                    "quota", f"The workspace is full: {exceeded}.", "Delete files you no longer need.", status=507
                )
            self._used = Usage(self._used.disk_bytes + more_bytes, self._used.entries + more_entries)

    def used(self) -> Usage:
        with self._lock:
            self._measure()
            return self._used

    def _measure(self) -> None:
        begun = time.monotonic()
        self._used = self._scan()
        now = time.monotonic()
        self._trusted_until = now + max(FRESH_S, FRESH_DUTY * (now - begun))

    def _exceeded(self, more_bytes: int, more_entries: int) -> str:
        if self._used.disk_bytes + more_bytes > self.limit.disk_bytes:
            return f"{self._used.disk_bytes >> 20} of {self.limit.disk_bytes >> 20} MiB are used"
        if self._used.entries + more_entries > self.limit.entries:
            return f"{self._used.entries} of {self.limit.entries} files and folders are used"
        return ""
