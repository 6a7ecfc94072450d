"""Which versions are kept: all of a day, then one an hour for a week, one a day for a month, named ones for ever."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from runner.snapshots.layout import Commit

ALL: Final = timedelta(hours=24)
HOURLY: Final = timedelta(days=7)
DAILY: Final = timedelta(days=30)


def kept(commits: Iterable[Commit], named: Collection[str], now: datetime) -> set[str]:
    """Versions to keep. The newest always stays, and of an hour or a day its last one does."""
    keep: set[str] = set()
    slots: set[str] = set()
    for commit in sorted(commits, key=lambda one: (one.epoch, one.seq), reverse=True):
        at = commit.taken_at
        age = now - at
        if not keep or commit.version in named or age < ALL:  # a clock that was wrong makes ages negative: kept
            keep.add(commit.version)
            continue
        if age < HOURLY:
            slot = f"{at:%Y-%m-%dT%H}"
        elif age < DAILY:
            slot = f"{at:%Y-%m-%d}"
        else:
            continue
        if slot not in slots:
            slots.add(slot)
            keep.add(commit.version)
    return keep
