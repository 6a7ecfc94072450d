"""What every backend promises. `tests/contracts/backend.py` says the same in tests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from starlette.types import ASGIApp

from orchestrator.domain import Egress, Observation, Size
from runner.errors import DevexError

OnActivity = Callable[[str, str], None]
"""`(repl_id, reason)`; reasons are the values of `orchestrator.domain.Activity`. Called often: must not block."""


class BackendError(DevexError):
    """A backend could not do what it was asked. `retryable` says whether asking again may help."""

    def __init__(
        self, message: str, *, retryable: bool, action: str = "Try again; if it stays, ask the operator."
    ) -> None:
        super().__init__("backend", message, action, status=503, retryable=retryable)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """Everything needed to start one incarnation."""

    repl_id: str
    epoch: int
    template: str  # its name: where sandboxes have images, it chooses one
    environment: Mapping[str, str]
    run_command: str | None
    size: Size
    egress: Egress


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `devex doctor`. `ok` is None when it could not be found out."""

    name: str
    ok: bool | None
    detail: str
    action: str = ""


@dataclass(slots=True)
class PreviewDoors:
    """Of a backend whose sandboxes open hosts of previews themselves (see `runner.previews`).

    `key_of(repl_id, epoch)` makes what seals their tickets; `may_look(repl_id, session_id)` is set by who knows of
    sessions, and asked again as long as somebody looks.
    """

    key_of: Callable[[str, int], bytes]
    may_look: Callable[[str, str], Awaitable[bool]]


class Election(Protocol):
    """Which of several servers acts on what runs; the others only look."""

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do the work whenever this server leads, until cancelled. It is cancelled before another one leads.

        What the work raises ends it.
        """


class Backend(Protocol):
    """Where sandboxes run. Every method may be repeated; (repl_id, epoch) names one incarnation.

    At most one incarnation of a Repl runs at a time. `on_activity` is set by the orchestrator before `__aenter__`.
    `keeps_disk` says that a workspace stays when its sandbox is gone, and can be saved from there; otherwise none is
    stopped before its last version is in the store. Without an `election` there is one server, which always leads.
    `preview_doors` is None where the gateway serves all previews.
    """

    keeps_disk: bool
    election: Election | None
    preview_doors: PreviewDoors | None
    on_activity: OnActivity

    async def __aenter__(self) -> Self:
        """Find again what runs from before; `observe` shows it from then on."""

    async def __aexit__(self, *exc: object) -> None: ...

    async def ensure(self, spec: SandboxSpec) -> None:
        """Begin to start the incarnation; returns before it runs. Nothing happens when it is there already.

        A start that fails later is observed as FAILED with its reason. Raises BackendError.
        """

    async def observe(self) -> dict[str, Observation]:
        """Every sandbox by repl id, adopted ones too.

        A FAILED observation (nothing of it runs any more) is kept until `stop` or the next `ensure`.
        What is not named does not run.
        """

    async def cpu_times(self) -> dict[str, float]:
        """Seconds of CPU that each running sandbox has used, by repl id, measured from outside of it.

        One that cannot be measured is left out. Raises BackendError.
        """

    def watch(self) -> AsyncIterator[str]:
        """Ids of Repls whose observation changed since the call, for ever. Changes may be merged or told twice.

        `orchestrator.changes` does this for any backend.
        """

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        """Have the store acknowledge a version of the files as they are, those in editors included; -> its name.

        Whether it runs or not; the newest one again when nothing changed. Raises BackendError in the store's words.
        """

    async def stop(self, repl_id: str, epoch: int) -> None:
        """Flush every document to disk, end the programs and remove the sandbox; returns when it is gone.

        Another epoch's sandbox is left alone, and one that does not run is no error. Raises BackendError.
        """

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        """Make the workspace: a copy of another Repl's, as it is now (flushed first when it runs) or as it was in a
        `version`, then `files` written over it.

        -> in plain words, which files of the version the store could not give, and what to do; None when all are here.
        A workspace that was seeded before is made anew. Raises BackendError.
        """

    async def collect(self, repl_id: str, epoch: int) -> None:
        """Thin out the versions of what does not run, as of that epoch; what runs does it by itself and is left alone.

        Raises BackendError, also when a newer epoch has stored a version.
        """

    async def delete_workspace(self, repl_id: str) -> None:
        """Remove the files and their versions for good. One that does not exist is no error."""

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        """The proxy's routes; None unless it is observed RUNNING."""

    def files_app(self, repl_id: str, size: Size) -> ASGIApp:
        """The proxy's `tree`, `files/…`, `zip`, `find`, `search` and `snapshots` routes, for reading alone.

        `usage` names `size`.
        """

    def has_tool(self, name: str) -> bool:
        """Whether programs in a sandbox find a command of this name, before they install any."""

    async def doctor(self) -> list[Check]:
        """What this machine can and cannot do."""
