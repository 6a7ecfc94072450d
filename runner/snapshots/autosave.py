"""Disk -> store, without being asked: PAUSE_S after the first change since the last version."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from runner.errors import DevexError
from runner.snapshots.bringing_back import BringingBack
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.store import Fenced
from runner.snapshots.telling import Pace, now, pause_s, words
from runner.snapshots.worker.frames import Message
from runner.workspace.paths import display

PAUSE_S: Final = 30.0  # what a machine that dies takes along, and the time of a snapshot
COLLECT_S: Final = 6 * 3600.0  # old versions are thinned out by the hour and the day
CHANGED_MOST: Final = 20  # more names nobody reads

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


@dataclass(frozen=True, slots=True)
class _Changes:
    """Since when (as in `Stored`), and the first CHANGED_MOST files of which it is known."""

    at: str | None = None
    paths: tuple[str, ...] = ()

    def then(self, later: "_Changes") -> "_Changes":
        return _Changes(self.at or later.at, tuple(dict.fromkeys((*self.paths, *later.paths)))[:CHANGED_MOST])


class Autosave:
    """`run` works until cancelled. `quiesce` brings what is in editors to the disk, and calls `changed` for what has
    changed there before it returns; `tell` gets every new state. Nothing is saved before `back` has made the workspace
    whole.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        back: BringingBack,
        *,
        quiesce: Callable[[], Awaitable[None]],
        tell: Callable[[Stored], None],
        pause_s: float = PAUSE_S,
    ) -> None:
        self.state = Stored()
        self.back = back
        self._snapshots = snapshots
        self._quiesce = quiesce
        self._tell = tell
        self._pause_s = pause_s
        self._pace = Pace()
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
        if not self.back.whole.is_set():
            return  # what is brought back is no change, and who types meanwhile is not told from it
        later = self._later
        is_new = bool(path) and path not in later.paths and len(later.paths) < CHANGED_MOST
        if later.at is None or is_new:
            self._later = later.then(_Changes(now(), (path,) if is_new else ()))
            self._set_dirty()
            self._say()

    @property
    def is_saved(self) -> bool:
        """Nothing has changed since the newest version, or may have before this began."""
        return not self._dirty.is_set() and not self._saving.locked()

    def hurry(self) -> None:
        """Save now what has changed, and let nobody wait for it: a program is about to be run."""
        if self._dirty.is_set():
            self._hurry.set()

    async def save(self, message: str, author: str = "") -> Stored:
        """Now. Raises StoreError, Fenced: nothing is safe that was not before. Waits for what is brought back."""
        await self.back.whole.wait()
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
        await self.back.whole.wait()
        async with self._saving:
            await self._quiesce()
            with self.back.telling(path) as progress:
                done = await self._snapshots.restore(version, path, author, progress)
                stored = await self._save(f"restored {display(path) or 'everything'} of {version}", author)
            return {**done, "version": stored.version}

    async def _save(self, message: str, author: str) -> Stored:
        began = now()
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
            self._say(saving=None, problem=words(error))
            raise
        self._sent = _Changes()
        self._say(at=began, version=taken["version"], crowded=taken["crowded"], problem=None, saving=None)
        return self.state

    async def run(self) -> None:
        """Begins as if something had changed: what happened before is nobody's memory."""
        self._set_dirty()
        await self.back.run()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._save_changes(), name="autosave")
                tasks.create_task(self._collect(), name="thinning versions out")
        finally:
            for restoring in self._restores:
                restoring.cancel()
            await asyncio.gather(*self._restores, return_exceptions=True)

    def _saved_so_far(self, seen: dict[str, int]) -> None:
        if self._pace.is_due():
            self._say(saving=Saving(**seen))

    async def _save_changes(self) -> None:
        failures = 0
        while True:
            await self._dirty.wait()
            # From the change on, not from the version on that was being taken when it came: that may have taken long.
            wait_s = pause_s(failures) if failures else self._dirty_s + self._pause_s - _loop_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
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


def _loop_s() -> float:
    return asyncio.get_running_loop().time()
