"""A clock that moves when told to, and records and backends that misbehave, each in the one way its name says."""

import asyncio
import heapq
import itertools
import random
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta

from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.backends.memory import Machine, MemoryBackend
from orchestrator.domain import Observation, Repl
from orchestrator.records import Changed, MemoryRecords


class ManualClock:
    """Time stands still until `advance`; sleepers whose time has come wake in order."""

    def __init__(self) -> None:
        self._now = datetime(2030, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, at: datetime) -> None:
        if at > self._now:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._sleepers, (at, next(self._order), future))
            await future

    async def advance(self, seconds: float) -> None:
        """Move on, stopping at each moment somebody sleeps until, with the loop run until it is idle in between."""
        end = self._now + timedelta(seconds=seconds)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            if future.done():
                continue
            self._now = max(self._now, at)
            future.set_result(None)
            await settle()
        self._now = end
        await settle()


async def settle() -> None:
    """Let everything that is ready run. Nothing here does I/O, so a number of turns of the loop is enough."""
    for _ in range(200):
        await asyncio.sleep(0)


class UnreachableRecords(MemoryRecords):
    """Nothing can be read while `down`, as when the database is being restarted."""

    down = False

    async def get(self, repl_id: str) -> Repl | None:
        if self.down:
            raise OSError("the database does not answer")
        return await super().get(repl_id)

    async def list_live(self) -> list[Repl]:
        if self.down:
            raise OSError("the database does not answer")
        return await super().list_live()


class TellsNothing(MemoryRecords):
    """As a database of one server: what another process changes is not told."""

    async def watch(self) -> AsyncGenerator[Changed | None, None]:
        yield None
        await asyncio.Event().wait()


class FailsDuringStart(MemoryBackend):
    """Every start ends by itself; `reason` is what it says."""

    reason = "The interpreter crashed."

    async def _start(self, spec: SandboxSpec) -> None:
        self.lose(spec.repl_id, self.reason)


class HangsOnStart(MemoryBackend):
    """The agent never says hello."""

    async def _start(self, spec: SandboxSpec) -> None:
        await asyncio.Event().wait()


class RefusesFirstStarts(MemoryBackend):
    """`ensure` raises a retryable error the first `refusals` times."""

    refusals = 2

    async def ensure(self, spec: SandboxSpec) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise BackendError("The machine is full.", retryable=True)
        await super().ensure(spec)


class RefusesStarts(MemoryBackend):
    """`ensure` raises an error that trying again does not cure."""

    async def ensure(self, spec: SandboxSpec) -> None:
        raise BackendError("Sandboxes cannot run on this machine.", retryable=False, action="Install bubblewrap.")


class HangsOnStop(MemoryBackend):
    """`stop` never returns while `hanging`."""

    hanging = True

    async def _end(self, repl_id: str, epoch: int) -> None:
        if self.hanging:
            await asyncio.Event().wait()


class StoreIsDown(MemoryBackend):
    """No version can be saved while `down`; with `hanging` nobody says so."""

    down = True
    hanging = False

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        if self.down and self.hanging:
            await asyncio.Event().wait()
        if self.down:
            raise BackendError("The store does not answer.", retryable=True)
        return await super().save(repl_id, epoch, message)


class DiskGoesWithSandbox(StoreIsDown):
    """As a pod's: what is in no version is gone with it."""

    keeps_disk = False

    async def _end(self, repl_id: str, epoch: int) -> None:
        versions = self.machine.versions.get(repl_id, [{}])
        self.machine.workspaces[repl_id] = dict(versions[-1])


class FirstHistoriesAreBroken(MemoryBackend):
    """The first `collect` raises, the second never returns."""

    calls = 0

    async def collect(self, repl_id: str, epoch: int) -> None:
        self.calls += 1
        if self.calls == 1:
            raise BackendError("The store's version is damaged.", retryable=False)
        if self.calls == 2:
            await asyncio.Event().wait()
        await super().collect(repl_id, epoch)


class CannotSaveOnStop(MemoryBackend):
    """`stop` raises while `failing`, as with a full disk: the sandbox stays."""

    failing = True

    async def stop(self, repl_id: str, epoch: int) -> None:
        if self.failing and repl_id in self.machine.sandboxes:
            raise BackendError("The disk is full.", retryable=True)
        await super().stop(repl_id, epoch)


class HangsOnPurge(MemoryBackend):
    """`delete_workspace` has removed something and goes on when `may_end` is set."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__(machine)
        self.may_end = asyncio.Event()

    async def delete_workspace(self, repl_id: str) -> None:
        self.machine.versions.pop(repl_id, None)
        await self.may_end.wait()
        await super().delete_workspace(repl_id)


class LooksSlowly(MemoryBackend):
    """`observe` answers when `may_look` is set."""

    def __init__(self, machine: Machine | None = None) -> None:
        super().__init__(machine)
        self.may_look = asyncio.Event()
        self.may_look.set()

    async def observe(self) -> dict[str, Observation]:
        await self.may_look.wait()
        return await super().observe()


class BreaksOnSeed(MemoryBackend):
    """A fault of ours, not of the machine."""

    broken = True

    async def seed(self, repl_id: str, files: object, *, copy_of: str | None, version: str | None = None) -> str | None:
        if self.broken:
            raise RuntimeError("a bug")
        return await super().seed(repl_id, {}, copy_of=copy_of, version=version)


class LosesEvents(MemoryBackend):
    """Nothing is ever told by `watch`: only the resync sees what changed."""

    def _tell(self, repl_id: str) -> None:
        return


class Unreliable(MemoryBackend):
    """Whatever may go wrong goes wrong by the dice of `chance`, while `misbehaving`."""

    chance = random.Random(0)
    misbehaving = True

    def unlucky(self) -> bool:
        return self.misbehaving and self.chance.random() < 0.3

    async def ensure(self, spec: SandboxSpec) -> None:
        if self.unlucky():
            raise BackendError("It cannot start now.", retryable=self.chance.random() < 0.7)
        await super().ensure(spec)

    async def stop(self, repl_id: str, epoch: int) -> None:
        if self.unlucky():
            raise BackendError("It cannot stop now.", retryable=True)
        await super().stop(repl_id, epoch)

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        if self.unlucky():
            raise OSError("no space left")
        return await super().seed(repl_id, files, copy_of=copy_of, version=version)

    async def _start(self, spec: SandboxSpec) -> None:
        if self.unlucky():
            self.lose(spec.repl_id, "It crashed.")
        elif not self.unlucky():
            await super()._start(spec)

    def _tell(self, repl_id: str) -> None:
        if not self.unlucky():
            super()._tell(repl_id)
