"""What a plan wants done, carried out by the backend: within its deadline, with its outcome recorded.

What fails is tried again, ever more rarely, while everything else about the Repl goes on. What breaks our own loops,
such as a database that is gone, is for `orchestrator.faults`.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrator.backends.base import Backend, BackendError, SandboxSpec
from orchestrator.clock import Clock, after, within
from orchestrator.domain import RESTING, Ensure, Limits, Phase, Purge, Repl, Save, Seed, Stop, deadline
from orchestrator.records import RecordConflict, Records
from orchestrator.registry import NoSuchRepl, Registry
from runner.snapshots.bringing_back import AT_REST, BEFORE_STOP

log = logging.getLogger(__name__)

Effect = Seed | Ensure | Save | Stop | Purge
MayCopy = Callable[[str, str], Awaitable[bool]]
"""`(owner_id, repl_id)`: asked again whenever files are copied, which may be long after a fork was asked for."""

SLOW = "It took too long."
_FAULT = "Something went wrong in DEVEX itself; the operator's log says more."


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left of it to be done."""


@dataclass(frozen=True, slots=True)
class Later:
    """It fails for now, and is not tried before `at`."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Refused:
    """Trying again does not help."""

    reason: str


Outcome = Done | Later | Refused


@dataclass(frozen=True, slots=True)
class _Backoff:
    """The effect that failed is not tried again before `until`; everything else goes on."""

    effect: Effect
    reason: str
    failures: int
    until: datetime


class NotToBeCopied(BackendError):
    def __init__(self) -> None:
        message = "What it is to be a copy of is no longer shared with you."
        super().__init__(message, retryable=False, action="Ask its owner, or delete this one.")


class Effects:
    """`spec_of` and `files_of` say what a Repl starts with, `may_copy` whether its owner still may have a copy."""

    def __init__(
        self,
        *,
        backend: Backend,
        records: Records,
        registry: Registry,
        clock: Clock,
        limits: Limits,
        spec_of: Callable[[Repl], SandboxSpec],
        files_of: Callable[[Repl], Mapping[str, bytes]],
        may_copy: MayCopy,
    ) -> None:
        self._backend = backend
        self._records = records
        self._registry = registry
        self._clock = clock
        self._limits = limits
        self._spec_of = spec_of
        self._files_of = files_of
        self._may_copy = may_copy
        self._backoffs: dict[str, _Backoff] = {}

    def forget(self, repl_id: str) -> None:
        """What comes next is another try of its own."""
        self._backoffs.pop(repl_id, None)

    async def attempt(self, repl: Repl, effect: Effect) -> Outcome:
        """Carry it out unless it is backing off. Raises RecordConflict."""
        now = self._clock.now()
        backoff = self._backoffs.get(repl.id)
        if backoff is not None and backoff.effect == effect and now < backoff.until:
            return Later(backoff.until)
        until = self._until(repl, effect)
        try:
            await within(self._clock, until, self._carry_out(repl, effect))
        except TimeoutError:
            return await self._retry(repl, effect, SLOW)
        except BackendError as error:
            if error.retryable or isinstance(effect, Save | Stop | Purge):
                return await self._retry(repl, effect, error.message)
            return Refused(f"{error.message} {error.action}")
        except RecordConflict:
            raise
        except Exception as error:
            return await self._retry(repl, effect, _FAULT, error)
        return Done()

    async def note(self, repl_id: str, **changes: Any) -> None:
        """Record a fact that holds whatever else was changed meanwhile."""
        with suppress(NoSuchRepl):
            await self._registry.change(repl_id, lambda repl: changes)

    def _until(self, repl: Repl, effect: Effect) -> datetime:
        limits = self._limits
        if isinstance(effect, Save) and repl.phase is Phase.STOPPING:
            if self._backend.keeps_disk:
                return repl.phase_at + timedelta(seconds=limits.save_deadline_s)
            return after(self._clock, limits.save_deadline_s)  # again and again: it is not stopped before
        if isinstance(effect, Save):
            return after(self._clock, limits.seed_deadline_s)  # nobody waits; it copies at most a full disk as well
        return self._deadline(repl) or after(self._clock, limits.stop_deadline_s)

    def _deadline(self, repl: Repl) -> datetime | None:
        return deadline(repl, self._limits, keeps_disk=self._backend.keeps_disk)

    async def _carry_out(self, repl: Repl, effect: Effect) -> None:
        match effect:
            case Seed():
                if repl.copy_of is not None and not await self._may_copy(repl.owner_id, repl.copy_of):
                    raise NotToBeCopied
                files = self._files_of(repl)
                lacks = await self._backend.seed(repl.id, files, copy_of=repl.copy_of, version=repl.copy_version)
                await self.note(repl.id, seeded=True, unsaved=True, lacks=lacks)
            case Ensure():
                await self._backend.ensure(self._spec_of(repl))
            case Save(epoch):
                resting = repl.phase in RESTING
                at = self._clock.now()
                version = await self._backend.save(repl.id, epoch, AT_REST if resting else BEFORE_STOP)
                done = {"unsaved": False} if resting else {}
                await self.note(repl.id, saved_version=version, saved_at=at, unsafe=None, **done)
            case Stop(epoch):
                await self._backend.stop(repl.id, epoch)
            case Purge():
                await self._records.update(repl, purge_at=self._clock.now())  # RecordConflict: taken back meanwhile
                await self._backend.delete_workspace(repl.id)
                await self._records.delete(repl.id)
                self._registry.publish_deleted(repl.id)

    async def _retry(self, repl: Repl, effect: Effect, reason: str, fault: Exception | None = None) -> Later:
        """Back off, exponentially and with jitter, and say why while the user waits; `fault` is one of ours."""
        before = self._backoffs.get(repl.id)
        if before is not None and before.effect != effect:
            before = None
        if before is None or before.reason != reason:  # once for every reason, however long it lasts
            extra = {"repl_id": repl.id, "epoch": repl.epoch}
            log.warning("%s fails and is tried again: %s", effect, reason, exc_info=fault, extra=extra)
        failures = 1 if before is None else before.failures + 1
        until = after(self._clock, self._limits.pause_s(failures) * (0.5 + secrets.randbelow(1000) / 2000))
        self._backoffs[repl.id] = _Backoff(effect, reason, failures, until)
        if isinstance(effect, Save):
            if repl.unsafe != reason:
                await self.note(repl.id, unsafe=reason)
        elif repl.failure != reason and self._deadline(repl) is not None:
            await self.note(repl.id, failure=reason)
        return Later(until)
