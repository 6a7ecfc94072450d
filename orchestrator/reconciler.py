"""The loop that makes what is recorded true: observe -> plan -> act -> record, one Repl at a time.

Woken by events (a changed goal, the backend's watch, a due time) and by a periodic resync for events that were lost.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, assert_never

from orchestrator.backends.base import Backend
from orchestrator.clock import Clock, after, within
from orchestrator.domain import (
    Ensure,
    Event,
    Explain,
    Limits,
    Move,
    Observation,
    Phase,
    Purge,
    Repl,
    Save,
    Seed,
    Stop,
    Wake,
    adopted,
    deadline,
    failed,
    plan,
)
from orchestrator.effects import SLOW, Done, Effect, Effects, Later, Refused
from orchestrator.faults import Faults
from orchestrator.leases import Leases
from orchestrator.records import RecordConflict, Records
from orchestrator.registry import NoSuchRepl, Registry
from orchestrator.workqueue import WorkQueue

log = logging.getLogger(__name__)


class Reconciler:
    """Of the one server that acts on what runs: others have one that does not run."""

    def __init__(
        self,
        *,
        backend: Backend,
        records: Records,
        registry: Registry,
        leases: Leases,
        clock: Clock,
        limits: Limits,
        effects: Effects,
    ) -> None:
        self._backend = backend
        self._records = records
        self._registry = registry
        self._leases = leases
        self._clock = clock
        self._limits = limits
        self._effects = effects
        self._queue = WorkQueue(self._reconcile, clock)
        self._faults = Faults(limits)
        self._saves: dict[str, asyncio.Task[None]] = {}  # beside the queue: a store that hangs takes no place in it

    def wake(self, repl_id: str) -> None:
        """Look at this Repl soon."""
        self._queue.add(repl_id)

    async def adopt(self) -> None:
        """Before `run`: take over what ran on while no server was there, or another one acted."""
        seen = await self._backend.observe()

        def change(repl: Repl) -> dict[str, Any]:
            return adopted(repl, seen.get(repl.id), self._clock.now())

        for recorded in await self._records.list_live():
            with suppress(NoSuchRepl):
                self._registry.publish(await self._registry.change(recorded.id, change))

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._queue.run(), name="reconciler queue")
                tasks.create_task(self._watch(), name="reconciler watch")
                tasks.create_task(self._resync(), name="reconciler resync")
        finally:
            saves = list(self._saves.values())
            for saving in saves:
                saving.cancel()
            await asyncio.gather(*saves, return_exceptions=True)

    async def _watch(self) -> None:
        """While it is broken the resync sees what it would have told."""
        while True:
            pause_s = self._limits.retry_first_s
            try:
                async for repl_id in self._backend.watch():
                    self._faults.worked("the backend's watch")
                    self._queue.add(repl_id)
            except Exception as error:
                pause_s = self._faults.failed("the backend's watch", error)
            await self._clock.sleep_until(after(self._clock, pause_s))

    async def _resync(self) -> None:
        while True:
            try:
                live = {repl.id for repl in await self._records.list_live()}
                for repl_id in live | set(await self._backend.observe()):
                    self._queue.add(repl_id)
                self._faults.worked("the resync")
            except Exception as error:
                self._faults.failed("the resync", error)
            await self._clock.sleep_until(after(self._clock, self._limits.resync_s))

    async def _reconcile(self, repl_id: str) -> None:
        """The loop's outer edge: whatever breaks is logged and tried again later."""
        place = f"reconciling {repl_id}"
        try:
            again = True
            while again:
                again = await self._step(repl_id)
            self._faults.worked(place)
        except RecordConflict:
            self._queue.add(repl_id)
        except Exception as error:
            self._queue.add_at(repl_id, after(self._clock, self._faults.failed(place, error)))

    async def _step(self, repl_id: str) -> bool:
        """Carry out one plan; whether to plan again at once."""
        repl = await self._records.get(repl_id)
        seen = (await self._backend.observe()).get(repl_id)
        if repl is None:
            return await self._sweep(repl_id, seen)
        lease, keeps_disk = self._leases.get(repl_id), self._backend.keeps_disk
        actions = plan(repl, seen, lease, self._clock.now(), self._limits, keeps_disk=keeps_disk)
        if not any(isinstance(action, Save) for action in actions):
            await self._give_up_saving(repl)
        again = False
        for action in actions:
            match action:
                case Wake(at):
                    self._queue.add_at(repl_id, at)
                case Move():
                    await self._move(repl, action)
                    again = True
                case Explain(reason):
                    await self._effects.note(repl.id, failure=reason)
                case Save():
                    self._save_beside(repl, action)
                case Seed() | Ensure() | Stop() | Purge():
                    again = await self._attempt(repl, action)
                case _:
                    assert_never(action)
        return again

    async def _sweep(self, repl_id: str, seen: Observation | None) -> bool:
        """A sandbox without a Repl serves nobody."""
        self._effects.forget(repl_id)
        if seen is not None:
            log.warning("removing a sandbox without a record", extra={"repl_id": repl_id, "epoch": seen.epoch})
            await within(
                self._clock, after(self._clock, self._limits.stop_deadline_s), self._backend.stop(repl_id, seen.epoch)
            )
        return False

    async def _move(self, repl: Repl, move: Move) -> None:
        moved = await self._records.update(repl, **move.changes(repl, self._clock.now()))
        self._queue.forget(repl.id)
        self._effects.forget(repl.id)
        level = logging.WARNING if move.event is Event.FAIL else logging.INFO
        log.log(level, "%s", moved.phase, extra={"repl_id": repl.id, "epoch": moved.epoch, "failure": moved.failure})
        self._registry.publish(moved)

    def _save_beside(self, repl: Repl, save: Save) -> None:
        """Begin, unless it is under way; the plan is made anew afterwards."""
        if repl.id not in self._saves:
            self._saves[repl.id] = asyncio.create_task(self._save(repl, save), name=f"save {repl.id}")

    async def _save(self, repl: Repl, save: Save) -> None:
        again = False
        place = f"saving {repl.id}"
        try:
            again = await self._attempt(repl, save)
            self._faults.worked(place)
        except Exception as error:
            self._queue.add_at(repl.id, after(self._clock, self._faults.failed(place, error)))
        finally:
            self._saves.pop(repl.id, None)
        if again:
            self._queue.add(repl.id)

    async def _give_up_saving(self, repl: Repl) -> None:
        """Something else is to be done about it, and nobody waits for a store any longer."""
        if saving := self._saves.get(repl.id):
            saving.cancel()
            await asyncio.wait([saving])
            self._saves.pop(repl.id, None)  # one that had not begun does not do it
            in_time = self._clock.now() < repl.phase_at + timedelta(seconds=self._limits.save_deadline_s)
            if repl.phase is Phase.STOPPING and not in_time:
                await self._effects.note(repl.id, unsafe=SLOW)

    async def _attempt(self, repl: Repl, effect: Effect) -> bool:
        """Carry out an effect unless it is backing off; whether to plan again at once."""
        match await self._effects.attempt(repl, effect):
            case Done():
                return not isinstance(effect, Ensure | Stop)  # those are followed by an event of the backend
            case Later(at):
                self._wake_by(repl, at)
                return False
            case Refused(reason):
                await self._move(repl, failed(repl, reason))
                return True

    def _wake_by(self, repl: Repl, at: datetime) -> None:
        """Plan again at `at`, or at the phase's deadline if that comes first."""
        end = deadline(repl, self._limits, keeps_disk=self._backend.keeps_disk)
        self._queue.add_at(repl.id, at if end is None else min(at, end))
