"""What to do next about one Repl: a pure decision from what is recorded, what is seen, and the time.

`plan` is level-triggered: it is asked again after every action and every change, and never relies on having been asked
before. A plan either moves the phase (recorded first, then planned again) or acts on the backend; Wake says when time
alone changes the answer, and stands first, since an act that fails sets a sooner one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrator.domain.extension import given_back
from orchestrator.domain.lease import Lease
from orchestrator.domain.limits import Limits
from orchestrator.domain.observation import Observation, SandboxPhase
from orchestrator.domain.repl import Event, Goal, Phase, Repl, advance

STOPPED_BY_BACKEND = "The machine it ran on asked it to stop."
SERVER_RESTARTED = "The server was restarted."
ENDED = "It ended unexpectedly. Its files are safe."


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Record a phase change."""

    event: Event
    goal: Goal | None = None  # None leaves it
    failure: str | None = None
    stop_reason: str | None = None  # None leaves it

    def changes(self, repl: Repl, now: datetime) -> dict[str, Any]:
        """The fields to record; raises IllegalTransition."""
        changes: dict[str, Any] = {"phase": advance(repl.phase, self.event), "phase_at": now, "failure": self.failure}
        if self.event is Event.START:
            changes["epoch"] = repl.epoch + 1
            if repl.epoch:  # who used it has seen it
                changes["lacks"] = None
        if self.event in (Event.DOWN, Event.FAIL) and repl.phase is not Phase.STOPPED:
            changes["unsaved"] = True  # programs may have written until the end
            if (self.goal or repl.goal) is not Goal.RUN:  # else it goes on elsewhere
                changes |= given_back(repl, now)
        if self.goal is not None:
            changes["goal"] = self.goal
        if self.stop_reason is not None:
            changes["stop_reason"] = self.stop_reason
        return changes


@dataclass(frozen=True, slots=True)
class Seed:
    """Lay out the first files."""


@dataclass(frozen=True, slots=True)
class Ensure:
    """Have the recorded epoch's sandbox started."""


@dataclass(frozen=True, slots=True)
class Save:
    """Have the store acknowledge a version of what its files are now."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Stop:
    epoch: int


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove files and record for good."""


@dataclass(frozen=True, slots=True)
class Explain:
    """Record why it is not up yet, for whoever waits."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wake:
    """Plan again at this time."""

    at: datetime


Action = Move | Seed | Ensure | Save | Stop | Purge | Explain | Wake


def plan(
    repl: Repl,
    observation: Observation | None,
    lease: Lease | None,
    now: datetime,
    limits: Limits,
    *,
    keeps_disk: bool,
) -> tuple[Action, ...]:
    """-> what to do now, in order; () waits for an event. Without an `observation` the backend knows no sandbox of it,
    without a `lease` it does not fall idle. `keeps_disk` is the backend's.
    """
    match repl.phase:
        case Phase.STARTING:
            return _starting(repl, observation, now, limits)
        case Phase.RUNNING:
            return _running(repl, observation, lease, now)
        case Phase.STOPPING:
            return _stopping(repl, observation, now, limits, keeps_disk=keeps_disk)
        case Phase.STOPPED | Phase.FAILED:
            return _resting(repl, observation, now, limits)


def adopted(repl: Repl, observation: Observation | None, now: datetime) -> dict[str, Any]:
    """Fields to record when the server comes back, or another one leads: what ran on is taken over, what ended with the
    server is stopped, and what says itself why it failed is left to the plan.

    Deadlines count from now, since nobody could keep them meanwhile.
    """
    alive = observation is not None and observation.alive
    if repl.phase is Phase.RUNNING and not alive and (observation is None or observation.reason is None):
        goal = Goal.STOP if repl.goal is Goal.RUN else None
        return Move(event=Event.DOWN, goal=goal, stop_reason=SERVER_RESTARTED).changes(repl, now)
    if repl.phase is Phase.STARTING and not alive:
        return Move(event=Event.DOWN).changes(repl, now)  # somebody is waiting: it starts anew
    timed = repl.phase in (Phase.STARTING, Phase.STOPPING) or (repl.phase is Phase.STOPPED and not repl.seeded)
    return {"phase_at": now} if timed else {}


def deadline(repl: Repl, limits: Limits, *, keeps_disk: bool) -> datetime | None:
    """When the phase has taken too long; None for a phase one may stay in."""
    match repl.phase:
        case Phase.STARTING:
            return _started_by(repl, limits)
        case Phase.STOPPING if keeps_disk or _saved_since(repl, repl.phase_at):
            return _stopped_by(repl, limits)
        case Phase.STOPPED if not repl.seeded:
            return _seeded_by(repl, limits)
    return None


def failed(repl: Repl, failure: str) -> Move:
    """A failed Repl wants nothing until somebody asks again; only a delete is remembered."""
    return Move(event=Event.FAIL, goal=Goal.STOP if repl.goal is Goal.RUN else None, failure=failure)


def _starting(repl: Repl, seen: Observation | None, now: datetime, limits: Limits) -> tuple[Action, ...]:
    end = _started_by(repl, limits)
    if repl.goal is not Goal.RUN:
        return (Move(event=Event.STOP),)
    outdated = seen is not None and seen.epoch != repl.epoch and seen.alive
    if now >= end:
        what = "An earlier run of it could not be stopped" if outdated else "It did not start"
        why = f" {repl.failure}" if repl.failure else ""
        return (failed(repl, f"{what} within {limits.start_deadline_s:.0f} seconds.{why}"),)
    if seen is not None and outdated:
        return (Wake(end), Stop(seen.epoch))
    if seen is None or seen.epoch != repl.epoch:
        return (Wake(end), Ensure())
    match seen.phase:
        case SandboxPhase.RUNNING:
            return (Move(event=Event.UP),)
        case SandboxPhase.FAILED:
            return (failed(repl, seen.reason or ENDED),)
        case SandboxPhase.STARTING:  # a start that was cut off goes on
            told = (Explain(seen.reason),) if seen.reason and seen.reason != repl.failure else ()
            return (Wake(end), *told, Ensure())
    return (Wake(end),)


def _running(repl: Repl, seen: Observation | None, lease: Lease | None, now: datetime) -> tuple[Action, ...]:
    if repl.goal is not Goal.RUN:
        return (Move(event=Event.STOP),)
    if seen is None or not seen.alive or seen.epoch != repl.epoch:
        reason = seen.reason if seen is not None and seen.epoch == repl.epoch else None
        return (failed(repl, reason or ENDED),)
    if seen.phase is SandboxPhase.STOPPING:
        # The goal stays RUN: once it is down it starts again, elsewhere if need be.
        return (Move(event=Event.STOP, stop_reason=seen.reason or STOPPED_BY_BACKEND),)
    if lease is None:
        return ()
    if lease.expired(now):
        return (Move(event=Event.STOP, goal=Goal.STOP, stop_reason=lease.why_stopped()),)
    return (Wake(lease.next_change_at(now)),)


def _stopping(
    repl: Repl, seen: Observation | None, now: datetime, limits: Limits, *, keeps_disk: bool
) -> tuple[Action, ...]:
    """A last version, and then the end. A store that does not answer in time cannot keep programs running where the
    files stay on a disk, and are saved from there (see `_resting`). Where they would be gone it runs on until they are
    safe, its owner wants it to run again, or wants it removed for good.
    """
    if seen is None or not seen.alive:
        return (Move(event=Event.DOWN),)
    save_until = _save_until(repl, limits)
    if seen.phase is SandboxPhase.RUNNING and not _saved_since(repl, repl.phase_at):
        if now < save_until:
            return (Wake(save_until), Save(seen.epoch))
        if not keeps_disk and repl.goal is Goal.RUN:
            return (Move(event=Event.UP),)
        if not keeps_disk and repl.goal is not Goal.DELETE:
            return (Save(seen.epoch),)
        if not keeps_disk and repl.purge_at is not None and now < repl.purge_at:
            return (Wake(repl.purge_at), Save(seen.epoch))
    end = _stopped_by(repl, limits)
    if now >= end:
        reason = f" {repl.failure}" if repl.failure else ""
        return (failed(repl, f"It did not stop within {(end - repl.phase_at).total_seconds():.0f} seconds.{reason}"),)
    return (Wake(end), Stop(seen.epoch))


def _started_by(repl: Repl, limits: Limits) -> datetime:
    return repl.phase_at + timedelta(seconds=limits.start_deadline_s)


def _seeded_by(repl: Repl, limits: Limits) -> datetime:
    return repl.phase_at + timedelta(seconds=limits.seed_deadline_s)


def _save_until(repl: Repl, limits: Limits) -> datetime:
    return repl.phase_at + timedelta(seconds=limits.save_deadline_s)


def _stopped_by(repl: Repl, limits: Limits) -> datetime:
    """Of a stop: after its last version, however late that came."""
    waited = _save_until(repl, limits)
    saved = max(waited, repl.saved_at) if repl.saved_at is not None else waited
    return saved + timedelta(seconds=limits.stop_deadline_s)


def _resting(repl: Repl, seen: Observation | None, now: datetime, limits: Limits) -> tuple[Action, ...]:
    if repl.goal is Goal.RUN and repl.phase is Phase.FAILED:
        return (Move(event=Event.RECOVER),)
    if repl.goal is not Goal.RUN and seen is not None and seen.alive:
        return (Stop(seen.epoch),)
    if repl.goal is Goal.DELETE:
        if repl.purge_at is None or now >= repl.purge_at:
            return (Purge(),)
        save = (Save(repl.epoch),) if repl.unsaved and repl.seeded else ()
        return (Wake(repl.purge_at), *save)
    if repl.unsaved and repl.seeded and repl.goal is Goal.STOP:
        return (Save(repl.epoch),)
    if repl.phase is Phase.FAILED:
        return ()
    if not repl.seeded:
        end = _seeded_by(repl, limits)
        if now >= end:
            return (failed(repl, f"Its files could not be laid out within {limits.seed_deadline_s:.0f} seconds."),)
        return (Wake(end), Seed())
    return (Move(event=Event.START),) if repl.goal is Goal.RUN else ()


def _saved_since(repl: Repl, moment: datetime) -> bool:
    return repl.saved_at is not None and repl.saved_at >= moment
