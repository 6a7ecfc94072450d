"""The versions of one REPL: what its proxy, and a backend while it is stopped, do with them."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from runner.snapshots.stores.opening import StoreSpec
from runner.snapshots.stores.store import StoreError
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.workers import Progress, Workers
from runner.workspace import Usage

TAKE_S: Final = 600.0  # from its turn on: a first version of some gigabytes over a slow line
READ_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where a workspace and its versions lie. `epoch` is of the incarnation that may write versions."""

    store: StoreSpec = field(repr=False)  # it may hold a key
    prefix: str
    workspace: Path
    owner: tuple[int, int] | None
    limit: Usage
    cache: Path
    epoch: int


class Snapshots:
    """One writer at a time. Every method raises StoreError (retryable or not), Damaged, or a DevexError for the user.

    Versions are shown as {version, epoch, seq, at, author, message, name, files, size_bytes, added, notes, noted}.
    """

    def __init__(self, workers: Workers, shelf: Shelf) -> None:
        self._workers = workers
        self._reading: dict[str, Any] = {"store": shelf.store, "prefix": shelf.prefix}
        self._writing = self._reading | {
            "workspace": str(shelf.workspace),
            "owner": shelf.owner,
            "limit": shelf.limit,
            "cache": str(shelf.cache),
            "epoch": shelf.epoch,
        }
        self._lock = asyncio.Lock()

    async def take(self, author: str, message: str, progress: Progress | None = None) -> Message:
        """A version of what is on the disk now; the newest one again when nothing changed. With `crowded`: null, or a
        sentence on a history that has no room for all that retention would keep.
        """
        async with self._lock:
            taken: Message = await self._heavy("take", progress, **self._writing, author=author, message=message)
            return taken

    async def restore(
        self, version: str, path: str, author: str, progress: Progress | None = None, *, empty: bool = False
    ) -> Message:
        """-> {files, removed, notes, noted}; what was there is a version of its own, unless it is `empty`.

        What came of it is no version yet.
        """
        job = {**self._writing, "version": version, "path": path, "author": author, "empty": empty}
        async with self._lock:
            done: Message = await self._heavy("restore", progress, **job)
            return done

    async def bring(self, version: str, path: str) -> None:
        """A file of the version that is being restored into an empty workspace, before its turn."""
        await self._ask("bring", **self._writing, version=version, path=path)

    async def collect(self) -> Message:
        """Thin old versions out -> {versions, objects, bytes}."""
        async with self._lock:
            done: Message = await self._heavy("collect", **self._writing)
            return done

    async def verify(self) -> Message:
        """-> {versions, chunks, bytes, problems}"""
        found: Message = await self._heavy("verify", **self._reading)
        return found

    async def purge(self) -> None:
        """Delete every version for good."""
        async with self._lock:
            await self._heavy("purge", **self._writing)

    async def head(self) -> Message | None:
        found: Message | None = await self._ask("head")
        return found

    async def versions(self, before: str | None, limit: int, path: str = "") -> Message:
        """-> {versions, next}, newest first: those that changed `path`, if one is given; `next` is the `before` of the
        older ones, null when there are none."""
        found: Message = await self._ask("list", before=before, limit=limit, path=path)
        return found

    async def name(self, version: str, name: str, author: str) -> None:
        """A version with a name is kept for ever; "" takes the name away. DevexError `history_full` without room."""
        async with self._lock:
            await self._heavy("name", **self._writing, version=version, name=name, author=author)

    async def folder(self, version: str, path: str) -> Message:
        """-> {entries: rows [name, kind, size in bytes], complete}"""
        found: Message = await self._ask("folder", version=version, path=path)
        return found

    async def changes(self, version: str, since: str | None) -> Message:
        """-> {changes: [[path, old, new]], more}, old and new [kind, size in bytes] or null"""
        found: Message = await self._ask("changes", version=version, since=since)
        return found

    def read(self, version: str, path: str) -> AsyncGenerator[bytes, None]:
        """A file in small pieces; DevexError `busy` when too many are read already."""
        return self._workers.pieces("read", **self._reading, version=version, path=path)

    def zip(self, version: str, path: str) -> AsyncGenerator[bytes, None]:
        """A folder ("" is all) as a ZIP file, in pieces."""
        return self._workers.pieces("zip", **self._reading, version=version, path=path)

    async def find(self, version: str, query: str) -> Message:
        """-> {paths, complete}, best first"""
        found: Message = await self._ask("find", version=version, query=query)
        return found

    async def search(self, version: str, query: str) -> Message:
        """-> {matches: [{path, line, column, length, text, at}], complete}"""
        found: Message = await self._ask("search", version=version, query=query)
        return found

    async def _heavy(self, do: str, progress: Progress | None = None, **job: Any) -> Any:
        try:
            return await self._workers.run(do, progress, TAKE_S, **job)
        except TimeoutError:
            raise StoreError("It took too long.", retryable=True) from None

    async def _ask(self, do: str, **job: Any) -> Any:
        try:
            async with asyncio.timeout(READ_S):
                return await self._workers.run(do, **{**self._reading, **job})
        except TimeoutError:
            raise StoreError("The versions cannot be read in time.", retryable=True) from None
