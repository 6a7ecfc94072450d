"""Records of terminals as the page knows them, and what it says of them. Plain data, pure decisions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from signal import SIGHUP
from typing import Any, NamedTuple, Self

from app.pages.words import ending_words, stopped_words
from components.repl import Shell

LAST_SCREENS = 8  # of shells, the newest: more tabs than that are a list, which is in the records themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """As `GET records` tells. `exit_code` is None while it runs, and when nobody knows; `is_lost`: it ended with its
    sandbox, and `duration_s` is None.
    """

    id: str
    kind: str
    title: str
    command: str | None
    who: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    is_lost: bool
    stopped: bool
    forced: bool
    duration_s: float | None
    peak_bytes: int | None
    size: tuple[int, int]
    missing_bytes: int
    can_run_again: bool

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        exit, who, ended_at = fields["exit"], fields["who"], fields["ended_at"]
        is_lost = bool(exit and (exit.get("lost") or exit["signal"] == SIGHUP))  # told by an agent that ends, or not
        return cls(
            id=fields["id"],
            kind=fields["kind"],
            title=fields["title"],
            command=fields["command"],
            who=who["name"] if who else "",
            started_at=datetime.fromisoformat(fields["started_at"]),
            ended_at=datetime.fromisoformat(ended_at) if ended_at else None,
            exit_code=exit["status"] if exit and not is_lost else None,
            is_lost=is_lost,
            stopped=fields["stopped"],
            forced=fields["forced"],
            duration_s=None if is_lost else fields["duration_s"],
            peak_bytes=fields["peak_bytes"],
            size=(fields["cols"], fields["rows"]),
            missing_bytes=fields["missing"],
            can_run_again=fields["run"],
        )

    @property
    def is_running(self) -> bool:
        return self.ended_at is None

    @property
    def is_run(self) -> bool:
        return self.kind == "run"


class Found(NamedTuple):
    """By a search: of each match the id of its record and its line; `cut_off`: there are more."""

    matches: Sequence[tuple[str, str]]
    cut_off: bool


class Ending(NamedTuple):
    """How a program ended: an icon, its colour, and words."""

    icon: str
    tone: str
    words: str


def ending_of(code: int | None, *, forced: bool, lost: bool = False) -> Ending:
    """`forced`: somebody had to kill it; `lost`: its sandbox ended first."""
    if lost or code is None:
        return Ending("moon", "none", "Ended with its sandbox")
    if words := stopped_words(code, forced=forced):
        return Ending("stop", "none", words)
    return Ending("check", "ok", ending_words(code)) if code == 0 else Ending("warning", "danger", ending_words(code))


def record_ending(record: Record) -> Ending:
    """Of one that has ended."""
    if record.exit_code is None and not record.is_lost:
        return Ending("close", "none", "Closed")
    return ending_of(record.exit_code, forced=record.forced, lost=record.is_lost)


def last_run(records: Iterable[Record]) -> Record | None:
    """Of `records`, newest first."""
    return next((record for record in records if record.is_run), None)


def left_open(records: Iterable[Record]) -> Sequence[Record]:
    """Of `records`, newest first: the shells that were open together when their sandbox ended, oldest first."""
    found: list[Record] = []
    for record in records:
        if record.is_run or not record.is_lost:
            continue
        if found and record.ended_at and record.ended_at < found[-1].started_at:
            break  # of a sandbox before that one
        found.append(record)
    return found[:LAST_SCREENS][::-1]


def continued(records: Sequence[Record], shells: Sequence[Shell]) -> tuple[str, Record] | None:
    """Of `records`, newest first, and `shells`, the oldest first: the first shell of this sandbox, by its id, and the
    last one of the sandbox before, whose place it takes. None where there is no such pair.
    """
    live = {shell.id for shell in shells}  # while a REPL starts, they may be told as lost
    before = left_open(one for one in records if one.id not in live)
    since = max((one.ended_at for one in before if one.ended_at), default=None)
    if since is None:
        return None
    after = [one for one in records if not one.is_run and one.started_at >= since][::-1]
    first = after[0] if after else shells[0] if shells else None  # one that was just opened may not be recorded yet
    if first is None:
        return None
    return first.id, next((one for one in before if one.title == first.title), before[-1])
