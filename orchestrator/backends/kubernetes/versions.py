"""What the control plane does with workspaces itself: it holds the credentials of the store, and pods do not.

A workspace that runs nowhere is its newest version. First files become one by way of a folder of this machine.
"""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

from starlette.types import ASGIApp

from orchestrator.backends.base import BackendError
from orchestrator.backends.seeding import in_their_words, lacks, lay_out
from orchestrator.domain import Size
from runner.proxy.http import Routes
from runner.proxy.records.routes import kept_routes, reading_semaphore
from runner.proxy.snapshots import VersionReaders, snapshot_routes
from runner.proxy.stored import stored_routes
from runner.snapshots.bringing_back import CREATED
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.asking import Ask, answered
from runner.snapshots.stores.opening import StoreSpec
from runner.snapshots.stores.s3 import S3Config, S3Store
from runner.snapshots.stores.signing import STORED_TIMES, S3Signer
from runner.snapshots.worker.workers import Workers
from runner.workspace import UNLIMITED, Usage, Workspace

NOWHERE = Path("/nonexistent")  # of shelves that are only read, and of records, which went with their pod

log = logging.getLogger(__name__)


class Versions:
    """`async with`; `store`, of S3, is where they all lie. Raises BackendError in the store's words.

    `size` is that of REPLs, the largest one: an incarnation puts STORED_TIMES as much into the store as it holds.
    """

    def __init__(self, workers: Workers, store: StoreSpec, size: Size | None = None) -> None:
        self._workers = workers
        self._room_bytes = STORED_TIMES * (size or Size()).disk_bytes
        self._store = store
        self._signing = S3Store(S3Config(**store["s3"]))
        self._reading = reading_semaphore()
        self._readers: WeakValueDictionary[str, VersionReaders] = WeakValueDictionary()  # by REPL, while there are any

    async def __aenter__(self) -> Self:
        await self._signing.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._signing.__aexit__(*exc)
        await self._workers.__aexit__()

    def answer_of(self, repl_id: str, epoch: int) -> Ask:
        """What an incarnation's pod asks to have signed."""
        signer = S3Signer(self._signing, f"{repl_id}/", epoch, self._room_bytes)

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            return await answered(signer, question)

        return answer

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], source: str | None, version: str | None
    ) -> str | None:
        """A first version: that of another Repl, the newest one unless it is said, with `files` over it.

        -> in plain words, what it lacks; None when all is there. Its own newest one is there already.
        """
        if source == repl_id and not files:
            return None
        with tempfile.TemporaryDirectory(prefix="devex-seed-") as folder:
            workspace, cache = Path(folder, "workspace"), Path(folder, "cache.db")
            workspace.mkdir()
            with in_their_words():
                lacking = await self._bring(source, version, workspace, cache) if source else None
                with Workspace(workspace) as laid_out:
                    lay_out(laid_out, files)
                await self._snapshots(repl_id, 0).purge()  # what was seeded before is made anew
                await self._snapshots(repl_id, 0, workspace, cache.with_name("new.db")).take("", CREATED)
        return lacking

    async def newest(self, repl_id: str) -> str:
        with in_their_words():
            head = await self._snapshots(repl_id, 0).head()
        if head is None:
            raise BackendError("It has no files.", retryable=False)
        return str(head["version"])

    async def collect(self, repl_id: str, epoch: int) -> None:
        with in_their_words():
            await self._snapshots(repl_id, epoch).collect()

    async def purge(self, repl_id: str) -> None:
        with in_their_words():
            await self._snapshots(repl_id, 0).purge()

    async def probe(self) -> bool:
        """Whether the store keeps conditions. Raises DevexError."""
        found: bool = await self._workers.run("probe", store=self._store, prefix="")
        return found

    def app(self, repl_id: str, size: Size) -> ASGIApp:
        """What can be read of it while it does not run."""
        snapshots = self._snapshots(repl_id, 0)
        readers = self._readers.setdefault(repl_id, VersionReaders())
        limit = Usage(size.disk_bytes, size.disk_entries)
        return Routes(
            [
                *snapshot_routes(snapshots, readers),
                *stored_routes(snapshots, readers, limit),
                *kept_routes(NOWHERE, self._reading),
            ]
        )

    async def _bring(self, source: str, version: str | None, workspace: Path, cache: Path) -> str | None:
        snapshots = self._snapshots(source, 0, workspace, cache)
        if version is None:
            head = await snapshots.head()
            if head is None:
                raise BackendError("The files to copy are gone.", retryable=False)
            version = str(head["version"])
        done: dict[str, Any] = await snapshots.restore(version, "", "", empty=True)
        if done["noted"]:
            log.warning("a copy of %s lacks what its version %s could not give: %s", source, version, done["notes"])
        return lacks(version, done["notes"], done["noted"])

    def _snapshots(self, repl_id: str, epoch: int, workspace: Path = NOWHERE, cache: Path = NOWHERE) -> Snapshots:
        shelf = Shelf(
            store=self._store,
            prefix=repl_id,
            workspace=workspace,
            owner=None,
            limit=UNLIMITED,
            cache=cache,
            epoch=epoch,
        )
        return Snapshots(self._workers, shelf)
