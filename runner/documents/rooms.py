"""The files of one REPL that are open."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self, TypeVar

from runner.documents import disk
from runner.documents.room import Room
from runner.errors import DevexError
from runner.workspace import Workspace
from runner.workspace.paths import is_text

MAX_ROOMS = 256  # open files of a REPL; each holds its text three times
READERS_ROOMS = 128  # beyond so many who may only look opens no other; what they stay in gives way to those who edit
FLUSH_S = 8.0  # a file that stands still is written in milliseconds; a program's long write is waited for 4 s

log = logging.getLogger(__name__)

T = TypeVar("T")


class Rooms:
    """An async context manager that owns the rooms' tasks; leaving it saves what is unsaved, as `flush` does. From
    `ended` on nothing is saved any more: every tab has to leave, and brings what it still types to the next proxy.

    Files and folders are moved and deleted through it, so that what is open goes along and no save brings it back.
    `before_open` is waited for with the path of a file that nobody has open yet.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        on_edit: Callable[[str], None],
        before_open: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.ended = asyncio.Event()
        self.on_edit = on_edit  # called at every edit of a person, with the name
        self._workspace = workspace
        self._before_open = before_open
        self._rooms: dict[str, Room] = {}  # by the path of the file
        self._opening = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()  # no TaskGroup: whoever enters and leaves may be two tasks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush()
        self.ended.set()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def open(self, path: str, guid: str = "", *, can_write: bool = True) -> Room:
        """The room of a file, or the room of that history: its file may have been moved. Raises NotEditable."""
        if self._before_open is not None and path not in self._rooms:
            await self._before_open(path)
        async with self._opening:  # one at a time: two rooms over one file would overwrite each other
            room = next((one for one in self._rooms.values() if one.file.document.guid == guid), self._rooms.get(path))
            if room is None:
                if not is_text(path) or (not can_write and len(self._rooms) >= READERS_ROOMS):
                    raise disk.NotEditable("refused")
                found = await asyncio.to_thread(disk.load, self._workspace, path)
                if len(self._rooms) >= MAX_ROOMS:
                    self._end_one()
                room = self._rooms[path] = Room(self._workspace, path, found)
                self._own(self._keep(room), f"room {path}")
            if room.file.ended is not None:
                raise disk.NotEditable(room.file.ended)
            room.wake()
            return room

    async def flush(self) -> None:
        """Bring every open file to disk, within FLUSH_S.

        What takes longer goes on by itself: a write that is under way must be seen to its end. When the proxy leaves
        before that, the browsers still have the text and send it as REBASE to the next one.
        """
        await self._save(list(self._rooms.values()))

    async def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file or folder; what is open goes along. DevexError."""
        await asyncio.shield(self._own(self._move(source, target, overwrite), f"move {source}"))

    async def remove(self, path: str) -> None:
        """Delete a file or folder; rooms of what is in it end. DevexError."""
        await asyncio.shield(self._own(self._remove(path), f"remove {path}"))

    def disk_hint(self, path: str) -> None:
        """Something happened to that file, or, with "", to any."""
        if not path:
            for room in self._rooms.values():
                room.wake()
        elif found := self._rooms.get(path):  # no search: it may be one of many thousands
            found.wake()

    def _within(self, path: str) -> list[Room]:
        """The rooms of that file, or of the files in that folder."""
        return [room for at, room in self._rooms.items() if at == path or at.startswith(f"{path}/")]

    async def _save(self, rooms: list[Room]) -> None:
        saves = [self._own(room.file.save(), f"save {room.file.path}") for room in rooms]
        if saves:
            await asyncio.wait(saves, timeout=FLUSH_S)
        for room, save in zip(rooms, saves, strict=True):
            if not save.done():
                log.warning("%s is not saved yet", room.file.path)
            elif error := save.exception():
                log.error("%s is not saved", room.file.path, exc_info=error)
            elif not save.result():
                log.warning("%s is not saved: %s", room.file.path, room.file.notice[1] or room.file.ended)

    async def _move(self, source: str, target: str, overwrite: bool) -> None:
        await self._save(self._within(source))
        async with self._opening, self._still(self._within(source) + self._within(target)):
            await asyncio.to_thread(self._workspace.move, source, target, overwrite=overwrite)
            moved, replaced = self._within(source), self._within(target)
            for room in moved:
                self._forget(room)
                if is_text(target):
                    room.follow(target + room.file.path[len(source) :])
                else:
                    room.file.end("refused")  # no browser could be told the path
            for room in replaced:
                if room not in moved:
                    self._forget(room)
                    room.file.end("missing")
            self._rooms |= {room.file.path: room for room in moved if room.file.ended is None}

    async def _remove(self, path: str) -> None:
        held = self._within(path)
        async with self._still(held):
            await asyncio.to_thread(self._workspace.remove, path)
            for room in set(held).intersection(self._within(path)):  # not one that was moved away in time
                self._forget(room)
                room.file.end("missing")

    @asynccontextmanager
    async def _still(self, rooms: list[Room]) -> AsyncIterator[None]:
        """None of those files is read or written meanwhile. DevexError."""
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(FLUSH_S):
                    for room in sorted(set(rooms), key=id):  # in one order, so that nobody waits for each other
                        await stack.enter_async_context(room.file.saving)
            except TimeoutError:
                raise DevexError(
                    "busy", "An open file is being saved.", "Try again in a moment.", status=409, retryable=True
                ) from None
            yield

    async def _keep(self, room: Room) -> None:
        try:
            await room.run()
        finally:
            room.file.close()
            self._forget(room)

    def _forget(self, room: Room) -> None:
        if self._rooms.get(room.file.path) is room:
            del self._rooms[room.file.path]

    def _end_one(self) -> None:
        """One that nobody edits, best that nobody looks at. Raises NotEditable: there is none."""
        room = min((one for one in self._rooms.values() if not one.is_needed), key=_viewers, default=None)
        if room is None:
            raise disk.NotEditable("refused")
        self._forget(room)
        room.file.end("refused")

    def _own(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task


def _viewers(room: Room) -> int:
    return room.viewers
