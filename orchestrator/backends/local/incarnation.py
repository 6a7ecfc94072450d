"""One sandbox as the server sees it: its proxy, its way out, its disk quota, from the start to the end."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.backends.egress.proxy import EgressProxy, Resolve
from orchestrator.backends.egress.rules import EgressRules
from orchestrator.backends.environment import program_environment
from orchestrator.backends.local.egress import EgressSocket
from orchestrator.backends.local.inside import WAY_OUT
from orchestrator.backends.local.launcher_client import LauncherClient
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.wire import Freeze, Start, Stop
from orchestrator.backends.local.workspaces import Workspaces
from orchestrator.domain import Egress, Observation, SandboxPhase
from runner.errors import DevexError
from runner.fair_semaphore import FairSemaphore
from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.proxy.snapshots import VersionReaders
from runner.snapshots.snapshots import Snapshots
from runner.workspace import Workspace

READY_S = 20.0  # from the start to the agent's Hello: 0.03 s, some seconds on a crowded machine
QUIESCE_S = 20.0  # flushing documents; a disk that takes longer does not keep a sandbox from being stopped
QUOTA_S = 5.0  # between two measurements, at least...
QUOTA_DUTY = 20  # ...and at least this many times what one costs: 5 % of a core
UNCOUNTED = 1.5  # times the quota, where there is too much to be counted: paused, not ended
PAUSED_ACTION = "Delete files you no longer need in the file tree."  # by the server: a paused shell removes none
KILL_AT = 2  # times the quota: frozen programs write no more, so this one evaded the freeze

log = logging.getLogger(__name__)


class Incarnation:
    """`phase` and `reason` are what is observed, `changed(repl_id)` is called with every change of them.

    `proxy` exists while it is RUNNING.
    """

    def __init__(
        self,
        spec: SandboxSpec,
        uid: int,
        *,
        layout: Layout,
        workspaces: Workspaces,
        launcher: LauncherClient,
        rules: EgressRules,
        resolve: Resolve,
        changed: Callable[[str], None],
        on_activity: Callable[[str, str], None],
        snapshots: Snapshots,
        reading: FairSemaphore,
        version_readers: VersionReaders,
        autosave_s: float,
        adopted: bool,
    ) -> None:
        self.spec = spec
        self.phase = SandboxPhase.STARTING
        self.reason: str | None = None
        self.proxy: RunnerProxy | None = None
        self._uid = uid
        self._layout = layout
        self._workspaces = workspaces
        self._launcher = launcher
        self._rules = rules
        self._resolve = resolve
        self._changed = changed
        self._on_activity = on_activity
        self._snapshots = snapshots
        self._reading = reading
        self._version_readers = version_readers
        self._autosave_s = autosave_s
        self._adopted = adopted
        self._ended = asyncio.Event()
        self._life = asyncio.create_task(self._live(), name=f"sandbox {spec.repl_id} {spec.epoch}")

    @property
    def observation(self) -> Observation:
        return Observation(repl_id=self.spec.repl_id, epoch=self.spec.epoch, phase=self.phase, reason=self.reason)

    @property
    def alive(self) -> bool:
        return self.phase is not SandboxPhase.FAILED

    def end(self, reason: str) -> None:
        """It has ended by itself."""
        self.reason = self.reason or reason
        self._ended.set()

    async def stop(self) -> None:
        """Flush, end the programs, leave. Raises BackendError: it still runs."""
        starting = self.phase is SandboxPhase.STARTING
        self._show(SandboxPhase.STOPPING)
        if starting:
            await self.leave()
        elif self.proxy:
            await self.quiesce()
        await self._stop_sandbox()
        await self.leave()

    async def quiesce(self) -> None:
        """Bring open documents to disk, as far as the disk lets us."""
        if self.proxy is None:
            return
        try:
            async with asyncio.timeout(QUIESCE_S):
                await self.proxy.quiesce()
        except (DevexError, OSError):
            log.exception("documents of %s are not all on disk", self.spec.repl_id)

    async def leave(self) -> None:
        """The sandbox runs on; its proxy does not."""
        self._ended.set()
        if self.phase is not SandboxPhase.RUNNING:
            self._life.cancel()
        await asyncio.wait([self._life])

    def _show(self, phase: SandboxPhase) -> None:
        self.phase = phase
        self._changed(self.spec.repl_id)

    async def _live(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                await self._make_folders()
                async with asyncio.TaskGroup() as together:  # an agent that dials too early dials again
                    if not self._adopted:
                        together.create_task(self._launcher.ask(Start(self.spec)))
                    proxy = await self._open(stack)
                await self._until_ready(proxy)
                if not self._ended.is_set() and self.phase is SandboxPhase.STARTING:
                    self.proxy = proxy
                    self._show(SandboxPhase.RUNNING)
                    await self._watch_disk()
        except Exception as error:  # the outer edge: a mistake of ours ends this REPL, not the server
            self.reason = self.reason or self._explained(error)
        finally:
            self.proxy = None
        if self.phase not in (SandboxPhase.STOPPING, SandboxPhase.FAILED) and self.reason:
            await self._give_up()

    def _explained(self, error: Exception) -> str:
        """What the user is told; what is no failure of the machine's is logged."""
        if isinstance(error, ExceptionGroup):
            return self._explained(error.exceptions[0])
        if isinstance(error, DevexError | OSError):
            return str(error)
        log.error("the sandbox %s %d is given up", self.spec.repl_id, self.spec.epoch, exc_info=error)
        return "An error in DEVEX ended it."

    async def _give_up(self) -> None:
        try:
            await self._stop_sandbox()
        except BackendError:
            log.warning("%s may still run", self.spec.repl_id)
        self._show(SandboxPhase.FAILED)

    async def _stop_sandbox(self) -> None:
        if self._launcher.connected:  # otherwise nothing runs: sandboxes die with their launcher
            await self._launcher.ask(Stop(self.spec.repl_id, self.spec.epoch))

    async def _make_folders(self) -> None:
        """What the sandbox has mounted besides its workspace."""
        sockets = self._layout.sockets(self.spec.repl_id)
        sockets.mkdir(exist_ok=True, mode=0o755)
        sockets.chmod(0o755)
        if not self._adopted and not self._launcher.facts.bounds_memory:
            await asyncio.to_thread(self._workspaces.make_temporary, self.spec.repl_id, self._uid)

    async def _open(self, stack: AsyncExitStack) -> RunnerProxy:
        """What the sandbox will dial: its sockets, served."""
        spec = self.spec
        sockets = self._layout.sockets(spec.repl_id)
        if spec.egress is not Egress.NONE:
            way_out = EgressProxy(spec.egress, self._rules, self._resolve, name=spec.repl_id)
            await stack.enter_async_context(EgressSocket(sockets / "egress.sock", self._uid, way_out))
        config = ProxyConfig(
            repl_id=spec.repl_id,
            workspace=self._layout.workspace(spec.repl_id),
            socket_path=sockets / "agent.sock",
            agent_uid=self._uid,
            environment=program_environment(spec, way_out=None if spec.egress is Egress.NONE else WAY_OUT),
            run_command=spec.run_command,
            quota_bytes=spec.size.disk_bytes,
            quota_entries=spec.size.disk_entries,
            records=self._layout.records(spec.repl_id),
            autosave_s=self._autosave_s,
        )
        return await stack.enter_async_context(
            RunnerProxy(
                config,
                on_activity=lambda reason: self._on_activity(spec.repl_id, reason),
                snapshots=self._snapshots,
                reading=self._reading,
                version_readers=self._version_readers,
            )
        )

    async def _until_ready(self, proxy: RunnerProxy) -> None:
        """The agent has said Hello, or the sandbox has ended."""
        waits = [asyncio.create_task(proxy.ready()), asyncio.create_task(self._ended.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if not done:
            raise BackendError("The sandbox started but did not answer.", retryable=True)

    # The disk

    async def _watch_disk(self) -> None:
        """Until the end. Programs that fill the disk are stopped where they are; files can still be deleted."""
        frozen = False
        with ExitStack() as stack:
            places = [stack.enter_context(self._workspaces.open(self.spec.repl_id))]
            if not self._launcher.facts.bounds_memory:
                places.append(stack.enter_context(Workspace(self._layout.temporary / self.spec.repl_id)))
            while True:
                try:
                    fullness, cpu_s = await asyncio.to_thread(_fullness, places, self.spec)
                except OSError:  # as when the server has too many files open: not a reason to end programs
                    log.exception("the disk of %s could not be measured", self.spec.repl_id)
                    fullness, cpu_s = (UNCOUNTED if frozen else 0.0), 0.0
                if fullness > KILL_AT:
                    self.end(f"It used more than {KILL_AT} times its disk space of {_room(self.spec)}.")
                if not self._ended.is_set():
                    frozen = await self._freeze(fullness > 1, was=frozen)
                try:
                    async with asyncio.timeout(max(QUOTA_S, QUOTA_DUTY * cpu_s)):
                        await self._ended.wait()
                    return
                except TimeoutError:
                    continue

    async def _freeze(self, frozen: bool, *, was: bool) -> bool:
        """-> `frozen`. Said once, done every time: new programs may have been started since."""
        spec = self.spec
        if frozen or was:
            await self._launcher.ask(Freeze(spec.repl_id, spec.epoch, frozen))
        if self.proxy and frozen != was:
            message = f"The disk is full: {_room(spec)}. Programs are paused, shells too."
            self.proxy.set_paused({"message": message, "action": PAUSED_ACTION} if frozen else None)
        return frozen


def _room(spec: SandboxSpec) -> str:
    return f"{spec.size.disk_bytes >> 20} MiB or {spec.size.disk_entries:,} files"


def _fullness(places: list[Workspace], spec: SandboxSpec) -> tuple[float, float]:
    """-> (used share of the quota, above 1 is too much; seconds of CPU it took to find out)."""
    begun_s = time.thread_time()
    used_bytes = used_entries = 0
    try:
        for place in places:
            usage = place.usage()
            used_bytes += usage.disk_bytes
            used_entries += usage.entries
    except DevexError:  # too many or too deep to be counted
        return UNCOUNTED, time.thread_time() - begun_s
    fullness = max(used_bytes / spec.size.disk_bytes, used_entries / spec.size.disk_entries)
    return fullness, time.thread_time() - begun_s
