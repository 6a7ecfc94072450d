"""What keeps a Repl awake: an expiring right to run, renewed by activity, never by a tab that is merely open."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

WARNINGS_S = (300, 60)  # five minutes: time to finish a thought; one minute: time to press Extend
CPU_USED_SHARE = 0.05  # of one core: an agent, sleeping shells and a server that watches its files use below 0.02
SLACK_S = 1  # a page that is told to look at a warning must see it by its own clock too


class Activity(StrEnum):
    """What renewed a lease."""

    OPENED = "opened"
    KEYSTROKE = "keystroke"
    EDIT = "edit"
    OUTPUT = "output"
    PREVIEW = "preview"
    RUN = "run"
    CPU = "cpu"
    EXTENDED = "extended"

    @property
    def phrase(self) -> str:
        return _PHRASES[self]


_PHRASES = {
    Activity.OPENED: "it was opened",
    Activity.KEYSTROKE: "somebody typed in a terminal",
    Activity.EDIT: "a file was edited",
    Activity.OUTPUT: "a program printed output",
    Activity.PREVIEW: "the preview was used",
    Activity.RUN: "a program was run",
    Activity.CPU: "a program was computing",
    Activity.EXTENDED: "it was extended",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """`expires_at` is when the Repl stops unless something renews it."""

    repl_id: str
    activity: Activity
    renewed_at: datetime
    expires_at: datetime

    def renewed(self, activity: Activity, now: datetime, idle_stop_s: float) -> "Lease":
        """Activity never shortens a lease that was extended further."""
        expires_at = max(self.expires_at, now + timedelta(seconds=idle_stop_s))
        return Lease(repl_id=self.repl_id, activity=activity, renewed_at=now, expires_at=expires_at)

    def expired(self, now: datetime) -> bool:
        return now >= self.expires_at

    def warning_s(self, now: datetime) -> int | None:
        """The tightest warning that is due (60 or 300), or None while the end is far."""
        left_s = (self.expires_at - now).total_seconds()
        due = [warning for warning in WARNINGS_S if left_s <= warning + SLACK_S]
        return min(due) if due else None

    def next_change_at(self, now: datetime) -> datetime:
        """When the next warning falls due or the lease ends."""
        moments = [self.expires_at - timedelta(seconds=warning) for warning in WARNINGS_S]
        return min((moment for moment in moments if moment > now), default=self.expires_at)

    def why_stopped(self) -> str:
        """One plain sentence for the user."""
        return f"It was idle: nothing happened since {self.activity.phrase} at {self.renewed_at:%H:%M} UTC."


@dataclass(frozen=True, slots=True)
class CpuSample:
    """CPU time that a sandbox had used by then, in seconds."""

    cpu_s: float
    at: datetime

    def computed_since(self, before: "CpuSample") -> bool:
        """Whether its programs did work. A new sandbox counts from zero, and so has not."""
        return self.cpu_s - before.cpu_s >= CPU_USED_SHARE * (self.at - before.at).total_seconds() > 0
