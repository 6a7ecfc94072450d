"""Which versions are kept: all of a day, then one an hour for a week, one a day for a month, named ones for ever; and
of a REPL whose programs write more than its history has room for, the newest of those, down to the half of it.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from runner.snapshots.layout import Commit

ALL: Final = timedelta(hours=24)
ALL_MOST: Final = 3_000  # more than autosave takes in a day; a program that has more taken keeps the last ones
HOURLY: Final = timedelta(days=7)
DAILY: Final = timedelta(days=30)
GIB: Final = 1 << 30
NAMES: Final = 1_000  # of one REPL: each stays for ever, and somebody has to find it again
TIMES: Final = 10  # a history's room, in full workspaces that cannot be compressed: who writes by hand never comes near


def kept(commits: Iterable[Commit], named: Collection[str], now: datetime) -> set[str]:
    """Versions to keep. The newest always stays, and of an hour or a day its last one does."""
    keep: set[str] = set()
    slots: set[str] = set()
    left = ALL_MOST
    for version, at in reversed(_taken(commits, now)):
        age = now - at
        if not keep or version in named:
            keep.add(version)
            continue
        if age < ALL and left:  # a clock that was ahead makes ages negative: kept
            keep.add(version)
            left -= 1
            continue
        if age < HOURLY:
            slot = f"{at:%Y-%m-%dT%H}"
        elif age < DAILY:
            slot = f"{at:%Y-%m-%d}"
        else:
            continue
        if slot not in slots:
            slots.add(slot)
            keep.add(version)
    return keep


def _taken(commits: Iterable[Commit], now: datetime) -> list[tuple[str, datetime]]:
    """Versions, oldest first, and when they were taken: not before the one before, whatever a clock that was behind
    said, or today's would go as if they were of last year.
    """
    found: list[tuple[str, datetime]] = []
    latest = datetime.min.replace(tzinfo=UTC)
    for commit in sorted(commits, key=lambda one: (one.epoch, one.seq)):
        at = max(commit.taken_at, latest)
        found.append((commit.version, at))
        latest = at if at <= now else latest
    return found


def by_worth(commits: Iterable[Commit], named: Collection[str]) -> list[Commit]:
    """In the order in which they are given room: the newest, those with a name, then the rest; the newer first."""
    newest, *others = sorted(commits, key=lambda one: (one.epoch, one.seq), reverse=True)
    return [newest, *sorted(others, key=lambda one: one.version not in named)]


def crowded(room_bytes: int, sooner: int, is_full: bool) -> str | None:
    """What is said of a history that had no room, when so many versions went sooner than usual: in words, or None."""
    room = f"{room_bytes / GIB:.1f} GiB"
    if is_full:
        return (
            f"The versions with a name fill the history's {room}: of the others only the newest is kept. "
            "Take the name from those you no longer need."
        )
    if sooner:
        gone = f"{sooner} older versions were removed sooner than usual"
        return f"{gone}: the history has room for {room}, and for {ALL_MOST} versions a day. Name what must stay."
    return None
