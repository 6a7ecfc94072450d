"""What is known of a recorded terminal besides its output. Plain data."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

from runner.proxy.records.masking import Masking
from runner.proxy.run_config import RunConfig
from runner.proxy.terminals.exits import LOST
from runner.viewer import NOBODY, Viewer


class Subject(NamedTuple):
    """The terminal that is recorded."""

    id: str
    kind: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who started a program; of a run, as what."""

    who: Viewer = NOBODY
    run: RunConfig | None = None


UNKNOWN: Final = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Times are ISO 8601 in UTC. `exit` is {status, signal, lost?}; of a terminal that was closed it stays None.
    `stopped`: somebody ended it; `forced`: it had to be killed. `run` is what runs the same again, None where it
    names a secret.
    """

    id: str
    kind: str
    title: str
    command: str | None = None
    who: Mapping[str, str] | None = None
    started_at: str
    ended_at: str | None = None
    exit: Mapping[str, Any] | None = None
    duration_s: float | None = None
    peak_bytes: int | None = None
    stopped: bool = False
    forced: bool = False
    cols: int
    rows: int
    run: RunConfig | None = None

    @classmethod
    def of(cls, subject: Subject, origin: Origin, size: tuple[int, int], masking: Masking) -> Self:
        run = origin.run
        return cls(
            id=subject.id,
            kind=subject.kind,
            title=masking.text(subject.title),
            command=masking.text(run.command) if run else None,
            who={"id": origin.who.user_id, "name": origin.who.name} if origin.who.user_id else None,
            started_at=now_text(),
            cols=size[0],
            rows=size[1],
            run=run if run and all(text == masking.text(text) for text in _texts(run)) else None,
        )

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> Self:
        """What `asdict` made of one. Raises TypeError, ValueError: it is none."""
        run = fields["run"] and RunConfig(**fields["run"])
        return cls(**{**fields, "run": run})

    def ended(self, exit: Mapping[str, Any] | None, duration_s: float | None, peak_bytes: int | None = None) -> Self:
        return replace(self, ended_at=now_text(), exit=exit, duration_s=duration_s, peak_bytes=peak_bytes)

    def lost(self, seen_s: float) -> Self:
        """Nobody saw its end; it was last heard of at `seen_s` since 1970."""
        ended = datetime.fromtimestamp(seen_s, UTC)
        duration_s = (ended - datetime.fromisoformat(self.started_at)).total_seconds()
        return replace(self, ended_at=ended.isoformat(), exit=LOST.how(), duration_s=round(max(duration_s, 0.0), 3))

    def json(self) -> dict[str, Any]:
        """As `GET records` tells of it."""
        return {**asdict(self), "run": self.run is not None}


def _texts(run: RunConfig) -> Iterator[str]:
    yield from (run.command, run.build or "")
    for name, value in run.environment.items():
        yield from (name, value)


def now_text() -> str:
    return datetime.now(UTC).isoformat()
