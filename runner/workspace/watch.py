"""Follows what programs do to the files, and tells whoever shows a tree or has a file open."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Final, NamedTuple, Self

from anyio import to_thread

from runner.workspace.index import MAX_WATCHES, Op, TreeChanges, TreeIndex
from runner.workspace.workspace import Workspace

BATCH_S: Final = 0.1  # changes are told at most this often; below what a person notices
BATCH_LIMIT_S: Final = 2.0
DUTY: Final = 4  # wait this many times as long as looking took: at most a fifth of a core however busy the programs are
POLL_MIN_S: Final = 2.0
POLL_MAX_S: Final = 60.0
POLL_DUTY: Final = 50  # when not everything is watched: at most 2 % of a core
MAX_ROWS: Final = 5_000  # of one delta; more is told as "list again", which each tab does for the folders it shows

log = logging.getLogger(__name__)


class TreeDelta(NamedTuple):
    """`rev` grows by one each; on a gap, or with `resync`, list again what is shown.

    Rows are as `Entry.row()`: [name, kind, size in bytes] and, where the name cannot be shown as it is, a display form.
    """

    rev: int
    ops: list[Op]
    resync: bool = False


class TreeWatcher:
    """`async with`; afterwards nothing is called any more. Callbacks run on the loop and must not block.

    The first delta (resync) says that the tree was read once and is followed from there on.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        on_delta: Callable[[TreeDelta], None],
        on_changed: Callable[[str], None],
        max_watches: int = MAX_WATCHES,
        rev: int = 0,
    ) -> None:
        self.rev = rev  # what comes before the first delta
        self._on_delta = on_delta
        self._on_changed = on_changed
        self._index = TreeIndex(workspace, max_watches)
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self._took_s = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def degraded(self) -> bool:
        """True when changes are found by polling, so only after a while."""
        return self._index.degraded

    async def look(self) -> None:
        """Tell now of what has happened up to now, which is otherwise told with the next batch."""
        await self._look(everything=False)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow(), name="tree watcher")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._index.stopping = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._index.close()

    async def _follow(self) -> None:
        async with self._looking:
            await self._refresh(everything=True)
            self._tell(TreeDelta(self.rev + 1, [], resync=True), ())
        while True:
            polled = not await self._event()
            await asyncio.sleep(min(max(BATCH_S, DUTY * self._took_s), BATCH_LIMIT_S))
            self._woken.clear()
            await self._look(everything=polled)

    async def _look(self, *, everything: bool) -> None:
        async with self._looking:
            changes = await self._refresh(everything=everything)
            if changes.ops or changes.files:
                self._tell(_delta(self.rev, changes), changes.files)

    async def _event(self) -> bool:
        """Wait until the kernel has events (True), or until it is time to look at everything (False)."""
        loop, source = asyncio.get_running_loop(), self._index.fileno()
        poll_s = min(max(POLL_MIN_S, POLL_DUTY * self._took_s), POLL_MAX_S) if self.degraded else None
        if source is not None:
            loop.add_reader(source, self._woken.set)
        try:
            async with asyncio.timeout(poll_s):
                await self._woken.wait()
            return True
        except TimeoutError:
            return False
        finally:
            if source is not None:
                loop.remove_reader(source)  # events pile up in the kernel, merged, until the batch is due

    async def _refresh(self, *, everything: bool) -> TreeChanges:
        begun = time.monotonic()
        try:
            return await to_thread.run_sync(lambda: self._index.refresh(everything=everything))
        except OSError as error:  # out of descriptors or memory: look again later
            log.warning("cannot look at the workspace: %s", error)
            self._index.degraded = True
            return TreeChanges()
        except Exception:  # the outer edge: whatever programs made of the tree, it is looked at again
            log.exception("looking at the workspace failed")
            self._index.degraded = True
            return TreeChanges()
        finally:
            self._took_s = time.monotonic() - begun

    def _tell(self, delta: TreeDelta, files: Collection[str]) -> None:
        try:
            if delta.rev != self.rev:
                self.rev = delta.rev
                self._on_delta(delta)
            for path in files:
                self._on_changed(path)
        except Exception:  # the outer edge: what one listener makes of a change must not end the watching
            log.exception("a listener to file changes failed")


def _delta(rev: int, changes: TreeChanges) -> TreeDelta:
    if not changes.ops:
        return TreeDelta(rev, [])
    if sum(len(rows) + len(gone) for _, rows, gone in changes.ops) > MAX_ROWS:
        return TreeDelta(rev + 1, [], resync=True)
    return TreeDelta(rev + 1, changes.ops)
