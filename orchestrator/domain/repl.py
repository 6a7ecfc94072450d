"""The Repl, and the one table that says how its phase may change."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Goal(StrEnum):
    """What is wanted. Recorded before anything is done about it."""

    RUN = "run"
    STOP = "stop"
    DELETE = "delete"  # in the trash: stopped, and removed for good at `purge_at`


class Phase(StrEnum):
    """What is, as last recorded from what the backend shows."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


RESTING = (Phase.STOPPED, Phase.FAILED)
"""Nothing of a sandbox runs in these."""


class Event(StrEnum):
    """Why a phase changes."""

    START = "start"  # a start begins: the epoch rises
    UP = "up"  # the proxy answers
    STOP = "stop"  # a stop begins
    DOWN = "down"  # nothing of the sandbox runs any more, as wanted
    FAIL = "fail"  # it ended by itself, or a deadline passed
    RECOVER = "recover"  # somebody asked for another try


TRANSITIONS: dict[tuple[Phase, Event], Phase] = {
    (Phase.STOPPED, Event.START): Phase.STARTING,
    (Phase.STOPPED, Event.FAIL): Phase.FAILED,  # its files could not be laid out
    (Phase.STARTING, Event.UP): Phase.RUNNING,
    (Phase.STARTING, Event.STOP): Phase.STOPPING,
    (Phase.STARTING, Event.FAIL): Phase.FAILED,
    (Phase.STARTING, Event.DOWN): Phase.STOPPED,  # the server was away and the sandbox with it
    (Phase.RUNNING, Event.STOP): Phase.STOPPING,
    (Phase.RUNNING, Event.FAIL): Phase.FAILED,
    (Phase.RUNNING, Event.DOWN): Phase.STOPPED,  # the same
    (Phase.STOPPING, Event.UP): Phase.RUNNING,  # wanted again while it could not be saved, and so was not stopped
    (Phase.STOPPING, Event.DOWN): Phase.STOPPED,
    (Phase.STOPPING, Event.FAIL): Phase.FAILED,
    (Phase.FAILED, Event.RECOVER): Phase.STOPPED,
}


class IllegalTransition(ValueError):
    """An event that the phase does not allow: a fault of ours, never the user's."""


def advance(phase: Phase, event: Event) -> Phase:
    """The phase after `event`; raises IllegalTransition for a move the table does not hold."""
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        raise IllegalTransition(f"{event} is not allowed while {phase}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repl:
    """The durable thing a user owns and opens. All times are aware UTC.

    `revision` rises with every recorded change: who changes a Repl names the revision it decided on.
    """

    id: str
    slug: str
    owner_id: str
    name: str
    template: str
    goal: Goal
    created_at: datetime
    opened_at: datetime
    phase_at: datetime  # when the phase was entered: deadlines count from here
    phase: Phase = Phase.STOPPED
    epoch: int = 0
    seeded: bool = False  # its first files are laid out
    copy_of: str | None = None  # the Repl whose files it starts with, as they are then
    copy_version: str | None = None  # or as they were in this version
    lacks: str | None = None  # in plain words; what of those the store could not give. Until it starts a second time
    failure: str | None = None  # in plain words; set while FAILED, or while a stop is being retried
    stop_reason: str | None = None  # one plain sentence: why it last stopped, until somebody wants it to run
    awake_until: datetime | None = None  # kept so because somebody asked; None also when it stopped before
    extended_at: datetime | None = None  # when somebody last asked, and
    extended_s: int = 0  # of that day's budget, what was used for it
    unsaved: bool = False  # since it last ran, no version of its files was acknowledged by the store
    saved_version: str | None = None  # the newest that was, and
    saved_at: datetime | None = None  # until when it holds everything
    unsafe: str | None = None  # one plain sentence: why no newer one could be stored
    deleted_at: datetime | None = None
    purge_at: datetime | None = None
    request_id: str | None = None  # makes a double submit of one owner's create the same create
    revision: int = 0

    @property
    def in_trash(self) -> bool:
        return self.goal is Goal.DELETE

    @property
    def at_rest(self) -> bool:
        """Nothing is to be done about it until somebody asks."""
        laid_out = self.seeded or self.phase is Phase.FAILED
        done = laid_out and not self.unsaved
        return self.goal is Goal.STOP and self.phase in RESTING and done
