"""The files of one REPL that are open."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Self

from runner.documents import disk
from runner.documents.room import Room
from runner.workspace import Workspace

MAX_ROOMS = 256  # open files of a REPL; each holds its text three times

log = logging.getLogger(__name__)


class Rooms:
    """An async context manager that owns the rooms' tasks; leaving it saves what is unsaved."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        on_saved: Callable[[str, str, datetime], None],
        on_activity: Callable[[str], None],
    ) -> None:
        self.on_activity = on_activity  # called with "edit" at every edit of a person
        self._workspace = workspace
        self._on_saved = on_saved
        self._rooms: dict[str, Room] = {}
        self._opening = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()  # no TaskGroup: whoever enters and leaves may be two tasks

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.flush()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def open(self, path: str) -> Room:
        """The room of a file. Raises NotEditableError."""
        async with self._opening:  # one at a time: two rooms over one file would overwrite each other
            if (room := self._rooms.get(path)) is None:
                if len(self._rooms) >= MAX_ROOMS:
                    raise disk.NotEditableError("refused")
                found = await asyncio.to_thread(disk.load, self._workspace, path)
                room = self._rooms[path] = Room(self._workspace, path, found, on_saved=self._on_saved)
                task = asyncio.create_task(self._keep(room), name=f"room {path}")
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            if room.file.ended is not None:
                raise disk.NotEditableError(room.file.ended)
            room.wake()
            return room

    async def flush(self) -> None:
        """Bring every open file to disk."""
        rooms = list(self._rooms.values())
        for room, saved in zip(rooms, await asyncio.gather(*(room.file.save() for room in rooms)), strict=True):
            if not saved:
                log.warning("%s is not saved: %s", room.file.path, room.file.notice[1] or room.file.ended)

    def disk_hint(self, path: str) -> None:
        """Something happened to that file, or to the folder of that path."""
        for open_path, room in self._rooms.items():
            if open_path == path or open_path.startswith(f"{path}/") or not path:
                room.wake()

    async def _keep(self, room: Room) -> None:
        try:
            await room.run()
        finally:
            del self._rooms[room.file.path]
