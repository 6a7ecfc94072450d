"""A workspace whose versions go to a store in a folder beside it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import Commit
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.take import Label, take
from runner.snapshots.writing import Restored
from runner.workspace import Workspace
from tests.runner.snapshots.jobs import Picture, picture

NOW = datetime.now(UTC)
LONG_AGO_NS = 1_600_000_000_000_000_000


@dataclass
class Place:
    root: Path
    workspace: Workspace
    history: History
    cache: Cache

    async def take(self, message: str = "test", epoch: int = 1) -> Commit:
        return await take(self.workspace, self.history, self.cache, Label(epoch=epoch, author="ada", message=message))

    async def restore(self, version: str, path: str = "") -> Restored:
        now = await self.history.open((await self.take()).version)
        return await restore(self.workspace, await self.history.open(version), now, path)


@asynccontextmanager
async def a_place(folder: Path) -> AsyncIterator[Place]:
    root = folder / "workspace"
    root.mkdir()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(DirectoryStore(folder / "store"))
        workspace = stack.enter_context(Workspace(root))
        cache = stack.enter_context(Cache(folder / "cache.db"))
        yield Place(root, workspace, History(store, "r1"), cache)


async def restored_elsewhere(place: Place, version: str, folder: Path) -> Picture:
    folder.mkdir()
    with Workspace(folder) as workspace:
        done = await restore(workspace, await place.history.open(version), None)
        assert done.notes == []
    return picture(folder)
