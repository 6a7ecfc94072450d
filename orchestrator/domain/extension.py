"""Keeping a Repl awake because somebody asked, for hours that are taken from what its owner has in a day."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from orchestrator.domain.repl import Repl

EXTEND_HOURS = (1, 4, 12)  # a meeting, an afternoon, a night


def used_today_s(repls: Iterable[Repl], now: datetime) -> int:
    """Of a day's budget, by one owner's Repls. The day is UTC's."""
    return sum(repl.extended_s for repl in repls if _is_today(repl, now))


def extended(repl: Repl, hours: int, now: datetime) -> dict[str, Any]:
    """The fields to record; what was already paid for is not paid again."""
    paid_until = max(repl.awake_until or now, now)
    until = max(now + timedelta(hours=hours), paid_until)
    before_s = repl.extended_s if _is_today(repl, now) else 0
    return {
        "awake_until": until,
        "extended_at": now,
        "extended_s": before_s + round((until - paid_until).total_seconds()),
    }


def given_back(repl: Repl, now: datetime) -> dict[str, Any]:
    """The fields to record when it stops before its time: what was not used is free again."""
    if repl.awake_until is None:
        return {}
    unused_s = max(round((repl.awake_until - now).total_seconds()), 0)
    return {"awake_until": None, "extended_s": max(repl.extended_s - unused_s, 0)}


def _is_today(repl: Repl, now: datetime) -> bool:
    return repl.extended_at is not None and repl.extended_at.date() == now.date()
