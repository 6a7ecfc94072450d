"""What goes wrong again and again: tried ever more rarely, and logged when it begins and when it is over."""

import logging
from typing import NamedTuple

from orchestrator.domain import Limits

log = logging.getLogger(__name__)


class _Fault(NamedTuple):
    kind: str
    failures: int  # in a row


class Faults:
    """By place: a Repl, a loop. A database that is gone is one fault, in however many places it is met."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._failing: dict[str, _Fault] = {}

    def failed(self, place: str, error: Exception) -> float:
        """-> seconds to wait before the next try."""
        kind = repr(error)
        if not self._is_known(kind):
            log.error("%s fails and is tried again until it works", place, exc_info=error)
        before = self._failing.get(place)
        failures = 1 if before is None else before.failures + 1
        self._failing[place] = _Fault(kind, failures)
        return self._limits.pause_s(failures)

    def worked(self, place: str) -> None:
        """Called after every success."""
        fault = self._failing.pop(place, None)
        if fault is not None and not self._is_known(fault.kind):
            log.info("%s works again", place)

    def _is_known(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self._failing.values())
