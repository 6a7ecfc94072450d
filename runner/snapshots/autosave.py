"""Disk -> store, without being asked: PAUSE_S after the first change since the last version."""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from runner.errors import DevexError
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.store import Fenced
from runner.snapshots.worker.frames import Message
from runner.workspace.paths import display

PAUSE_S: Final = 30.0  # what a machine that dies takes along, and the time of a snapshot
RETRY_FIRST_S: Final = 5.0
RETRY_MOST_S: Final = 300.0
COLLECT_S: Final = 6 * 3600.0  # old versions are thinned out by the hour and the day
BRING_S: Final = 10.0  # who opens a file waits so long for it, then sees that it is not there yet
CHANGED_MOST: Final = 20  # more names nobody reads
TOLD_S: Final = 0.2  # how far something is, is told at most this often: more nobody can read

BEFORE_STOP: Final = "before it stopped"
AT_REST: Final = "after it ended"  # of what lay on the disk when nothing ran any more

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """How far a version is: what was looked at, and what of it the store did not have and has by now."""

    files: int = 0
    bytes: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What of the workspace is safe. Times are ISO 8601, UTC.

    `version` holds everything up to `at`; `changed_at` is the first change after it, None when there is none, and
    `changed` the first CHANGED_MOST files of which that is known, also while the next version is taken: `saving` is
    there then; `problem` says why it is not saved; `crowded` what became of older versions, since there is no room for
    all.
    """

    version: str | None = None
    at: str | None = None
    changed_at: str | None = None
    changed: tuple[str, ...] = ()
    problem: str | None = None
    crowded: str | None = None
    saving: Saving | None = None


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


@dataclass(frozen=True, slots=True)
class _Changes:
    """Since when (as in `Stored`), and the first CHANGED_MOST files of which it is known."""

    at: str | None = None
    paths: tuple[str, ...] = ()

    def then(self, later: "_Changes") -> "_Changes":
        return _Changes(self.at or later.at, tuple(dict.fromkeys((*self.paths, *later.paths)))[:CHANGED_MOST])


class Autosave:
    """`run` works until cancelled. `quiesce` brings what is in editors to the disk, and calls `changed` for what has
    changed there before it returns; `tell` gets every new state.

    With `restored`, the workspace may be empty or half brought back: where that file is missing, the newest version
    comes first, and nothing is saved before. It lies where the workspace's programs cannot write.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        quiesce: Callable[[], Awaitable[None]],
        tell: Callable[[Stored], None],
        tell_restoring: Callable[[Restoring], None] = lambda state: None,
        restored: Path | None = None,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.state = Stored()
        self.restoring: Restoring | None = None  # None: there was nothing to bring back
        self.whole = asyncio.Event()  # the workspace is what a person left
        self._head: str | None = None  # the version that is being brought back
        self._head_known = asyncio.Event()
        self._told_s = 0.0
        self._tell_restoring = tell_restoring
        self._restored = restored
        self._snapshots = snapshots
        self._quiesce = quiesce
        self._tell = tell
        self._pause_s = pause_s
        self._dirty = asyncio.Event()
        self._dirty_s = 0.0  # since when, in the loop's time
        self._sent = _Changes()  # what the version that is being taken will hold
        self._later = _Changes()  # what only the next one will
        self._hurry = asyncio.Event()
        self._authors: set[str] = set()
        self._saving = asyncio.Lock()
        self._restores: set[asyncio.Task[Message]] = set()  # ended by `run`

    def changed(self, author: str = "", path: str = "") -> None:
        """Something in the workspace is not what it was, if it is known at `path`. Called often."""
        if author:
            self._authors.add(author)
        if not self.whole.is_set():
            return  # what is brought back is no change, and who types meanwhile is not told from it
        later = self._later
        is_new = bool(path) and path not in later.paths and len(later.paths) < CHANGED_MOST
        if later.at is None or is_new:
            self._later = later.then(_Changes(_now(), (path,) if is_new else ()))
            self._set_dirty()
            self._say()

    def hurry(self) -> None:
        """Save now what has changed, and let nobody wait for it: a program is about to be run."""
        if self._dirty.is_set():
            self._hurry.set()

    async def save(self, message: str, author: str = "") -> Stored:
        """Now. Raises StoreError, Fenced: nothing is safe that was not before. Waits for what is brought back."""
        await self.whole.wait()
        async with self._saving:
            return await self._save(message, author)

    async def restore(self, version: str, path: str, author: str) -> Message:
        """`Snapshots.restore`, and a version of what came of it -> with its `version`. Raises as both.

        It goes on when who asked has left, or is signed out meanwhile: half a restore is what nobody wanted.
        """
        restoring = asyncio.create_task(self._restore_and_save(version, path, author), name=f"restore of {version}")
        self._restores.add(restoring)
        restoring.add_done_callback(self._restore_ended)
        return await asyncio.shield(restoring)

    def _restore_ended(self, restoring: asyncio.Task[Message]) -> None:
        self._restores.discard(restoring)
        if not restoring.cancelled() and (error := restoring.exception()):
            log.warning("%s failed: %s", restoring.get_name(), error)  # perhaps nobody else hears of it

    async def _restore_and_save(self, version: str, path: str, author: str) -> Message:
        await self.whole.wait()
        async with self._saving:
            await self._quiesce()
            self._show(Restoring(path=path))
            try:
                done = await self._snapshots.restore(version, path, author, self._restored_so_far)
                stored = await self._save(f"restored {display(path) or 'everything'} of {version}", author)
            finally:
                assert self.restoring is not None
                self._show(replace(self.restoring, done=True))
            return {**done, "version": stored.version}

    async def bring(self, path: str) -> None:
        """A file that somebody opens is brought back before the others; where that fails it comes with them."""
        if self.whole.is_set():
            return
        with suppress(DevexError, TimeoutError):
            async with asyncio.timeout(BRING_S):
                await self._head_known.wait()
                if self._head is not None:
                    await self._snapshots.bring(self._head, path)

    async def _save(self, message: str, author: str) -> Stored:
        began = _now()
        authors: set[str] = set()
        self._say(saving=Saving())
        try:
            await self._quiesce()
            authors, self._authors = self._authors, set()
            self._dirty.clear()  # what changes from here on may not be in it
            self._sent, self._later = self._later, _Changes()
            taken = await self._snapshots.take(author or ", ".join(sorted(authors)), message, self._saved_so_far)
        except BaseException as error:
            self._authors |= authors
            self._sent, self._later = _Changes(), self._sent.then(self._later).then(_Changes(began))
            self._set_dirty()
            self._say(saving=None, problem=_words(error))
            raise
        self._sent = _Changes()
        self._say(at=began, version=taken["version"], crowded=taken["crowded"], problem=None, saving=None)
        return self.state

    async def run(self) -> None:
        """Begins as if something had changed: what happened before is nobody's memory."""
        self._set_dirty()
        await self._restore()
        self.whole.set()
        self._head_known.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._save_changes(), name="autosave")
                tasks.create_task(self._collect(), name="thinning versions out")
        finally:
            for restoring in self._restores:
                restoring.cancel()
            await asyncio.gather(*self._restores, return_exceptions=True)

    async def _restore(self) -> None:
        if self._restored is None or self._restored.exists():
            return
        failures = 0
        began_at = _now()
        while True:
            try:
                if (head := await self._snapshots.head()) is not None:
                    cut_off = head["message"] not in (BEFORE_STOP, AT_REST)
                    self._show(Restoring(began_at=began_at, version=head["version"], at=head["at"], cut_off=cut_off))
                    self._head = head["version"]
                    self._head_known.set()
                    done = await self._snapshots.restore(head["version"], "", "", self._restored_so_far, empty=True)
                    await self._quiesce()  # to hear of it now
                    self.restoring = replace(self.restoring or Restoring(), notes=done["notes"], noted=done["noted"])
                self._restored.touch()
                break
            except Exception as error:  # the outer edge: an empty workspace must never be saved over a full one
                failures += 1
                log.exception("the workspace could not be brought back")
                self._show(replace(self.restoring or Restoring(), problem=_words(error)))
                await asyncio.sleep(_pause_s(failures))
        if self.restoring is not None:
            self._show(replace(self.restoring, problem=None, done=True))

    def _restored_so_far(self, seen: dict[str, int]) -> None:
        assert self.restoring is not None
        counted: dict[str, Any] = {**seen}
        self.restoring = replace(self.restoring, problem=None, **counted)
        if self._may_tell():
            self._tell_restoring(self.restoring)

    def _saved_so_far(self, seen: dict[str, int]) -> None:
        if self._may_tell():
            self._say(saving=Saving(**seen))

    def _may_tell(self) -> bool:
        now_s = time.monotonic()
        due = now_s - self._told_s >= TOLD_S
        self._told_s = now_s if due else self._told_s
        return due

    def _show(self, state: Restoring) -> None:
        self.restoring = state
        self._tell_restoring(state)

    async def _save_changes(self) -> None:
        failures = 0
        while True:
            await self._dirty.wait()
            # From the change on, not from the version on that was being taken when it came: that may have taken long.
            pause_s = _pause_s(failures) if failures else self._dirty_s + self._pause_s - _loop_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._hurry.wait()
            self._hurry.clear()
            try:
                await self.save("autosave")
                failures = 0
            except Fenced:
                log.warning("another incarnation saves this REPL's versions now")
                return
            except (DevexError, TimeoutError) as error:
                failures += 1
                log.warning("a version could not be saved: %s", error)
            except Exception:  # the outer edge: whatever broke, saving must not end
                failures += 1
                log.exception("saving a version broke")

    async def _collect(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_S * (0.75 + secrets.randbelow(500) / 1000))
            try:
                await self._snapshots.collect()
            except (DevexError, TimeoutError) as error:
                log.warning("old versions could not be thinned out: %s", error)

    def _set_dirty(self) -> None:
        if not self._dirty.is_set():
            self._dirty_s = _loop_s()
            self._dirty.set()

    def _say(self, **changes: object) -> None:
        unsaved = self._sent.then(self._later)
        changes |= {"changed_at": unsaved.at, "changed": unsaved.paths}
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self._tell(self.state)


def _words(error: BaseException) -> str:
    """One sentence."""
    if isinstance(error, DevexError):
        return error.message
    return "It took too long." if isinstance(error, TimeoutError) else "Something went wrong in DEVEX itself."


def _pause_s(failures: int) -> float:
    jitter: float = 0.75 + secrets.randbelow(500) / 1000
    return jitter * min(RETRY_FIRST_S * float(2 ** min(failures - 1, 10)), RETRY_MOST_S)


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
