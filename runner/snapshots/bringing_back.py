"""Store -> disk: the newest version into a workspace that is empty; and how far that, or what a person restores, is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runner.errors import DevexError
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.telling import Pace, now, pause_s, words
from runner.snapshots.worker.workers import Progress

BRING_S: Final = 10.0  # who opens a file waits so long for it, then sees that it is not there yet

CREATED: Final = "as it was created"  # a first version, of what has not run yet
BEFORE_STOP: Final = "before it stopped"
AT_REST: Final = "after it ended"  # of what lay on the disk when nothing ran any more

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """How far a version is brought back; `problem` says why it does not go on.

    `path` is what a person asked for ("" is everything); None: the workspace was empty. Then it is brought back since
    `began_at`, `version` is of `at` (both ISO 8601, UTC; None until it is known), and `cut_off` says that it was not
    the last word of who was here before: what was changed later is lost. Then `notes` are [path, why], of `noted` in
    all: what could not be brought back.
    """

    path: str | None = None
    began_at: str | None = None
    version: str | None = None
    at: str | None = None
    cut_off: bool = False
    files: int = 0
    of_files: int = 0
    bytes: int = 0
    of_bytes: int = 0
    problem: str | None = None
    done: bool = False
    notes: Sequence[Sequence[str]] = ()
    noted: int = 0


class BringingBack:
    """Of a workspace that may be empty or half brought back: where the file `restored` is missing, the newest version
    comes first. It lies where the workspace's programs cannot write; without one the workspace is what it was.

    `quiesce` as in `Autosave`; `tell` gets every new state.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        quiesce: Callable[[], Awaitable[None]],
        tell: Callable[[Restoring], None],
        restored: Path | None,
    ) -> None:
        self.state: Restoring | None = None  # None: there was nothing to bring back
        self.whole = asyncio.Event()  # the workspace is what a person left
        self._head: str | None = None  # the version that is being brought back
        self._head_known = asyncio.Event()
        self._snapshots = snapshots
        self._quiesce = quiesce
        self._tell = tell
        self._restored = restored
        self._pace = Pace()

    async def run(self) -> None:
        """Until it is whole."""
        if self._restored is not None and not self._restored.exists():
            await self._bring_back(self._restored)
        self.whole.set()
        self._head_known.set()

    async def bring(self, path: str) -> None:
        """A file that somebody opens is brought back before the others; where that fails it comes with them."""
        if self.whole.is_set():
            return
        with suppress(DevexError, TimeoutError):
            async with asyncio.timeout(BRING_S):
                await self._head_known.wait()
                if self._head is not None:
                    await self._snapshots.bring(self._head, path)

    @contextmanager
    def telling(self, path: str) -> Iterator[Progress]:
        """That a person restores a path, how far it is, and that it is over, however it ended."""
        self._show(Restoring(path=path))
        try:
            yield self._so_far
        finally:
            assert self.state is not None
            self._show(replace(self.state, done=True))

    async def _bring_back(self, restored: Path) -> None:
        failures = 0
        began_at = now()
        while True:
            try:
                if (head := await self._snapshots.head()) is not None:
                    cut_off = head["message"] not in (CREATED, BEFORE_STOP, AT_REST)
                    self._show(Restoring(began_at=began_at, version=head["version"], at=head["at"], cut_off=cut_off))
                    self._head = head["version"]
                    self._head_known.set()
                    done = await self._snapshots.restore(head["version"], "", "", self._so_far, empty=True)
                    await self._quiesce()  # to hear of it now
                    self.state = replace(self.state or Restoring(), notes=done["notes"], noted=done["noted"])
                restored.touch()
                break
            except Exception as error:  # the outer edge: an empty workspace must never be saved over a full one
                failures += 1
                log.exception("the workspace could not be brought back")
                self._show(replace(self.state or Restoring(), problem=words(error)))
                await asyncio.sleep(pause_s(failures))
        if self.state is not None:
            self._show(replace(self.state, problem=None, done=True))

    def _so_far(self, seen: dict[str, int]) -> None:
        assert self.state is not None
        counted: dict[str, Any] = {**seen}
        self.state = replace(self.state, problem=None, **counted)
        if self._pace.is_due():
            self._tell(self.state)

    def _show(self, state: Restoring) -> None:
        self.state = state
        self._tell(state)
