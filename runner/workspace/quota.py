"""How much the workspace may hold. Measured by our own scan, never by what the sandbox says."""

import threading
import time
from typing import Final

from runner.errors import DevexError
from runner.workspace.workspace import Usage, Workspace

FRESH_S: Final = 5.0
FRESH_DUTY: Final = 20  # a measurement is trusted this many times as long as it took: at most 5 % of a core


class Quota:
    """Blocks; used from many threads."""

    def __init__(self, workspace: Workspace, limit_bytes: int, limit_entries: int) -> None:
        self.limit_bytes = limit_bytes
        self.limit_entries = limit_entries
        self._workspace = workspace
        self._used = Usage(0, 0)
        self._trusted_until = 0.0
        self._lock = threading.Lock()

    def claim(self, more_bytes: int, more_entries: int = 0) -> None:
        """Before writing. Raises DevexError `quota` (507); what makes nothing larger is always allowed."""
        if more_bytes <= 0 and more_entries <= 0:
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
        self._used = self._workspace.usage()
        now = time.monotonic()
        self._trusted_until = now + max(FRESH_S, FRESH_DUTY * (now - begun))

    def _exceeded(self, more_bytes: int, more_entries: int) -> str:
        if self._used.disk_bytes + more_bytes > self.limit_bytes:
            return f"{self._used.disk_bytes >> 20} of {self.limit_bytes >> 20} MiB are used"
        if self._used.entries + more_entries > self.limit_entries:
            return f"{self._used.entries} of {self.limit_entries} files and folders are used"
        return ""
