"""What kept a Repl awake, and from when to when."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain.lease import Activity

JOINED_S = 120  # a shorter pause is part of it: people think between keystrokes
SPANS_KEPT = 200  # a busy day has some dozens; older ones are forgotten


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of activity. Of EXTENDED, `ended_at` may lie ahead."""

    activity: Activity
    begun_at: datetime
    ended_at: datetime


Ledger = tuple[Span, ...]
"""Spans by their beginning, at most SPANS_KEPT; those of different activities overlap."""


def noted(ledger: Ledger, activity: Activity, now: datetime, until: datetime | None = None) -> Ledger:
    """The ledger with this activity; `until` is when it will end, by default now."""
    until = until or now
    for at in range(len(ledger) - 1, -1, -1):
        span = ledger[at]
        if span.activity is activity:
            if now - span.ended_at > timedelta(seconds=JOINED_S):
                break
            return (*ledger[:at], replace(span, ended_at=max(until, span.ended_at)), *ledger[at + 1 :])
    return (*ledger, Span(activity, now, until))[-SPANS_KEPT:]


def closed(ledger: Ledger, now: datetime) -> Ledger:
    """The ledger of a Repl that has stopped: nothing in it lies ahead."""
    return tuple(replace(span, ended_at=min(span.ended_at, now)) for span in ledger)


def totals_s(ledger: Iterable[Span], since: datetime, now: datetime) -> dict[Activity, float]:
    """Seconds of each activity between two moments, the longest first; 0 of what happened in one moment."""
    totals: dict[Activity, float] = {}
    for span in ledger:
        begun_at, ended_at = max(span.begun_at, since), min(span.ended_at, now)
        if begun_at <= ended_at:
            totals[span.activity] = totals.get(span.activity, 0.0) + (ended_at - begun_at).total_seconds()
    return dict(sorted(totals.items(), key=lambda item: -item[1]))
