"""LocalBackend: REPLs in bubblewrap on this machine, their proxies in this process."""

import asyncio
import logging
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar
from weakref import WeakValueDictionary

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.backends.base import BackendError, Check, Election, OnActivity, PreviewDoors, SandboxSpec
from orchestrator.backends.egress.proxy import Resolver
from orchestrator.backends.egress.rules import EgressRules
from orchestrator.backends.environment import SYSTEM_PATH
from orchestrator.backends.local import doctor, launcher_client, uids
from orchestrator.backends.local.incarnation import Incarnation
from orchestrator.backends.local.launcher_client import LauncherClient
from orchestrator.backends.local.layout import checked, layout
from orchestrator.backends.local.wire import CpuTimes, Ended, List, Probe, Running, Shutdown
from orchestrator.backends.local.workspaces import Workspaces
from orchestrator.backends.seeding import in_their_words, lacks
from orchestrator.changes import Changes
from orchestrator.domain import Observation, SandboxPhase, Size
from runner.errors import DevexError
from runner.proxy.files.routes import file_routes, heavy_semaphore
from runner.proxy.http import Routes
from runner.proxy.records.routes import kept_routes, reading_semaphore
from runner.proxy.snapshots import VersionReaders, snapshot_routes
from runner.snapshots.autosave import PAUSE_S
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import StoreSpec, spec_of
from runner.snapshots.stores.store import StoreError
from runner.snapshots.worker.workers import Workers
from runner.workspace import UNLIMITED, Usage

PROBE_S = 40.0  # a store that answers does so within some seconds; one that is dead is given up by then

T = TypeVar("T")

log = logging.getLogger(__name__)


class LocalBackend:
    """`keep_on_exit`: sandboxes run on when the server ends, for `grace_s`, until the next one adopts them. Versions go
    to `store`, by default a folder in `data_dir`.
    """

    keeps_disk = True
    election: Election | None = None
    preview_doors: PreviewDoors | None = None

    def __init__(
        self,
        data_dir: Path,
        *,
        grace_s: float,
        egress: EgressRules | None = None,
        keep_on_exit: bool = True,
        store: StoreSpec | None = None,
        autosave_s: float = PAUSE_S,
    ) -> None:
        self.keep_on_exit = keep_on_exit
        self.on_activity: OnActivity = lambda repl_id, reason: None  # set by the orchestrator
        self._layout = layout(data_dir)
        self._rules = egress or EgressRules()
        self._grace_s = grace_s
        self._changes = Changes[str](key=str)
        self._workspaces = Workspaces(self._layout)
        self._live: dict[str, Incarnation] = {}
        self._launcher: LauncherClient | None = None
        self._connecting = asyncio.Lock()
        self._store = store or spec_of(self._layout.store)
        self._autosave_s = autosave_s
        self._workers = Workers()
        self._looking: asyncio.Task[None] | None = None
        self._heavy = heavy_semaphore()  # of all REPLs that are read without their proxy
        self._reading = reading_semaphore()
        self._readers: WeakValueDictionary[str, VersionReaders] = WeakValueDictionary()  # by REPL, while there are any

    async def __aenter__(self) -> Self:
        """Starts even where no sandbox can: then `ensure` and `doctor` say why."""
        self._layout.make()
        self._resolver = Resolver()
        try:
            launcher = await self._connected()
            for found in await launcher.ask(List()):
                self._adopt(launcher, found)
        except BackendError as error:
            log.error("no REPL can run: %s %s", error.message, error.action)
        if "s3" in self._store or self._store["must_exist"]:  # one of ours needs no process to be believed
            self._looking = asyncio.create_task(self._look_at_store(), name="look at the store")
        return self

    async def __aexit__(self, *_: object) -> None:
        launcher, self._launcher = self._launcher, None
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        live = list(self._live.values())
        await asyncio.gather(*(one.quiesce() for one in live))
        if launcher and not self.keep_on_exit:
            try:
                await launcher.ask(Shutdown())
            except BackendError as error:
                log.warning("the launcher did not end: %s", error)
        if launcher:
            await launcher.close()
        await asyncio.gather(*(one.leave() for one in live))
        await self._workers.__aexit__()
        self._resolver.close()

    async def ensure(self, spec: SandboxSpec) -> None:
        if self._runs(spec):
            return
        launcher = await self._connected()
        uid = await asyncio.to_thread(self._workspaces.own, spec.repl_id)
        if not self._runs(spec):  # not meanwhile either
            self._live[spec.repl_id] = self._incarnation(launcher, spec, uid, adopted=False)
            self._changes.publish(spec.repl_id)

    async def observe(self) -> dict[str, Observation]:
        return {repl_id: one.observation for repl_id, one in self._live.items()}

    async def cpu_times(self) -> dict[str, float]:
        launcher = self._launcher
        if launcher is None or not launcher.connected:
            return {}
        return await launcher.ask(CpuTimes())

    def watch(self) -> AsyncIterator[str]:
        return self._changes.subscribe()

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        one = self._live.get(repl_id)
        with in_their_words():
            if one is not None and one.proxy is not None and one.spec.epoch == epoch:
                return (await one.proxy.save(message)).version or ""
            uid = self._workspaces.uid_of(repl_id)
            taken = await Snapshots(self._workers, self._shelf(repl_id, epoch=epoch, uid=uid)).take("", message)
        version: str = taken["version"]
        return version

    async def stop(self, repl_id: str, epoch: int) -> None:
        one = self._live.get(repl_id)
        if one is None or one.spec.epoch != epoch:
            return
        if one.alive:
            await one.stop()
        if self._live.get(repl_id) is one:
            del self._live[repl_id]
            self._changes.publish(repl_id)

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        if copy_of is not None and version is not None:
            return await self._seed_version(repl_id, files, copy_of, version)
        if copy_of is not None:
            if not self._workspaces.exists(copy_of):
                raise BackendError("The files to copy are gone.", retryable=False)
            if source := self._live.get(copy_of):
                await source.quiesce()
        given_up = threading.Event()
        await _to_its_end(given_up, self._workspaces.seed, repl_id, files, copy_of, given_up)
        return None

    async def _seed_version(self, repl_id: str, files: Mapping[str, bytes], source: str, version: str) -> str | None:
        made = await _to_its_end(threading.Event(), self._workspaces.begin, repl_id)
        shelf = replace(self._shelf(repl_id, uid=made.uid), prefix=checked(source), workspace=made.folder)
        with in_their_words():
            done = await Snapshots(self._workers, shelf).restore(version, "", "", empty=True)
        if done["noted"]:
            log.warning("a copy of %s lacks what its version %s could not give: %s", source, version, done["notes"])
        await _to_its_end(threading.Event(), self._workspaces.finish, repl_id, made, files)
        return lacks(version, done["notes"], done["noted"])

    async def collect(self, repl_id: str, epoch: int) -> None:
        if repl_id in self._live:
            return
        with in_their_words():
            await Snapshots(self._workers, self._shelf(repl_id, epoch=epoch)).collect()

    async def delete_workspace(self, repl_id: str) -> None:
        with in_their_words():
            await Snapshots(self._workers, self._shelf(repl_id)).purge()
        await asyncio.to_thread(self._workspaces.delete, repl_id)

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        one = self._live.get(repl_id)
        return one.proxy if one and one.phase is SandboxPhase.RUNNING else None

    def files_app(self, repl_id: str, size: Size) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            limit = Usage(size.disk_bytes, size.disk_entries)
            if scope["path"].startswith("/records"):
                await Routes(kept_routes(self._layout.records(repl_id), self._reading))(scope, receive, send)
                return
            if scope["path"].startswith("/snapshots"):  # they are in the store, whatever became of the files
                snapshots = Snapshots(self._workers, self._shelf(repl_id, limit=limit))
                await Routes(snapshot_routes(snapshots, self._readers_of(repl_id)))(scope, receive, send)
                return
            try:
                workspace = await asyncio.to_thread(self._workspaces.open, repl_id, limit)
            except (DevexError, OSError):
                gone = DevexError("no_files", "Its files are gone.", "Fork a version: see its history.", status=404)
                await JSONResponse(gone.body(), gone.status)(scope, receive, send)
                return
            with workspace:
                await Routes(file_routes(workspace, heavy=self._heavy))(scope, receive, send)

        return app

    def has_tool(self, name: str) -> bool:
        return shutil.which(name, path=SYSTEM_PATH) is not None

    async def doctor(self) -> list[Check]:
        if self._looking is not None:
            self._looking.cancel()  # who asks is told the same
        return [*await self._sandbox_checks(), *await self._store_checks()]

    async def _sandbox_checks(self) -> list[Check]:
        try:
            launcher = await self._connected()
            failures = await launcher.ask(Probe())
        except BackendError as error:
            return [Check(name="sandbox", ok=False, detail=error.message, action=error.action)]
        return doctor.checks(launcher.facts, failures, self._layout)

    async def _store_checks(self) -> list[Check]:
        try:
            async with asyncio.timeout(PROBE_S):
                conditional: bool = await self._workers.run("probe", store=self._store, prefix="")
        except TimeoutError:
            return doctor.store_checks(self._store, StoreError("The store does not answer.", retryable=True))
        except DevexError as error:
            return doctor.store_checks(self._store, error)
        return doctor.store_checks(self._store, conditional)

    async def _look_at_store(self) -> None:
        """Whoever set it wrong reads so in the log, and not after the first hour of work."""
        for check in await self._store_checks():
            if not check.ok:
                log.warning("%s: %s %s", check.name, check.detail, check.action)

    def _runs(self, spec: SandboxSpec) -> bool:
        """Raises BackendError: another epoch does."""
        one = self._live.get(spec.repl_id)
        if one is None or not one.alive:
            return False
        if one.spec.epoch != spec.epoch or one.phase is SandboxPhase.STOPPING:
            raise BackendError("Another run of it is still there.", retryable=True)
        return True

    async def _connected(self) -> LauncherClient:
        async with self._connecting:
            if self._launcher is None or not self._launcher.connected:
                self._launcher = await launcher_client.connect(
                    self._layout, self._grace_s, on_ended=self._on_ended, on_lost=self._on_lost
                )
                self._workspaces.uids = range(*self._launcher.facts.uids)
                log.info("the launcher is ready: %s", self._launcher.facts)
            return self._launcher

    def _incarnation(self, launcher: LauncherClient, spec: SandboxSpec, uid: int, *, adopted: bool) -> Incarnation:
        limit = Usage(spec.size.disk_bytes, spec.size.disk_entries)
        return Incarnation(
            spec,
            uid,
            layout=self._layout,
            workspaces=self._workspaces,
            launcher=launcher,
            rules=self._rules,
            resolve=self._resolver,
            changed=self._changes.publish,
            on_activity=self.on_activity,
            snapshots=Snapshots(self._workers, self._shelf(spec.repl_id, epoch=spec.epoch, uid=uid, limit=limit)),
            reading=self._reading,
            version_readers=self._readers_of(spec.repl_id),
            autosave_s=self._autosave_s,
            adopted=adopted,
        )

    def _readers_of(self, repl_id: str) -> VersionReaders:
        return self._readers.setdefault(repl_id, VersionReaders())

    def _shelf(self, repl_id: str, *, epoch: int = 0, uid: int = 0, limit: Usage = UNLIMITED) -> Shelf:
        """Without an epoch it is not for writing versions, without a uid not for writing files."""
        return Shelf(
            store=self._store,
            prefix=checked(repl_id),
            workspace=self._layout.workspace(repl_id),
            owner=uids.owner(uid),
            limit=limit,
            cache=self._layout.caches / f"{repl_id}.db",
            epoch=epoch,
        )

    def _adopt(self, launcher: LauncherClient, found: Running) -> None:
        self._live[found.spec.repl_id] = self._incarnation(launcher, found.spec, found.uid, adopted=True)

    def _on_ended(self, ended: Ended) -> None:
        one = self._live.get(ended.repl_id)
        if one and one.spec.epoch == ended.epoch:
            one.end(ended.reason)

    def _on_lost(self) -> None:
        """The launcher has ended, and every sandbox with it."""
        for one in self._live.values():
            if one.alive:
                one.end("The launcher ended, and its sandboxes with it.")


async def _to_its_end(given_up: threading.Event, work: Callable[..., T], *args: Any) -> T:
    """Run in a thread, and wait for it even when cancelled: no two may write to one place. `given_up` asks it to end
    with the piece at hand.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        given_up.set()
        await asyncio.gather(working, return_exceptions=True)
        raise
