"""The front of the orchestrator: what pages, the API and the gateway call.

Every call that changes what is wanted records it first and wakes the reconciler, which does the rest.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Container, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from starlette.types import ASGIApp

from orchestrator.backends.base import Backend, Election, SandboxSpec
from orchestrator.changes import Subscription
from orchestrator.clock import Clock, after, within
from orchestrator.computing import Computing
from orchestrator.domain import (
    EXTEND_HOURS,
    Activity,
    Goal,
    Lease,
    Limits,
    Phase,
    Repl,
    extended,
    used_today_s,
)
from orchestrator.effects import Effects, MayCopy
from orchestrator.faults import Faults
from orchestrator.leases import Leases
from orchestrator.names import new_id, new_slug, parse_name
from orchestrator.quota import Quota
from orchestrator.reconciler import Reconciler
from orchestrator.records import Records
from orchestrator.registry import Registry
from orchestrator.shutdown import stop_all
from orchestrator.spec import first_files, sandbox_spec
from orchestrator.templates import Template
from orchestrator.thinning import Thinning
from runner.errors import DevexError

OPEN_DEADLINE_S = 60.0  # a stop that is under way (5 s for its programs) and then a start
LAID_OUT_S = 20.0  # who reads files waits so long for the first; a full disk takes longer, and is told so
OPENED_RESOLUTION_S = 60.0  # a reload within a minute is the same visit
STOPPED_BY_USER = "It was stopped by hand."
DELETED = "It was moved to the trash."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """What a Repl is made from."""

    name: str
    template: str
    copy_of: str | None = None
    copy_version: str | None = None


async def _always(owner_id: str, repl_id: str) -> bool:
    return True


class Orchestrator:
    """An async context manager around backend and reconciler. An id that does not exist raises NoSuchRepl.

    `leases` tell what keeps a Repl awake and what has, `quota` what its owner may have.

    It does not ask who is calling: `app.access` decides before.
    """

    def __init__(
        self,
        *,
        backend: Backend,
        records: Records,
        templates: Mapping[str, Template],
        clock: Clock,
        limits: Limits,
        environment: Callable[[Repl], Mapping[str, str]] = lambda repl: {},
        may_copy: MayCopy = _always,
    ) -> None:
        """What only the application knows: `environment` adds the addresses of previews, and others, `may_copy` says
        who may copy what.
        """
        self.backend = backend
        self.templates = templates
        self.limits = limits
        self.quota = Quota(records, clock, limits)
        self._records = records
        self._clock = clock
        self._environment = environment
        self._registry = Registry(records)
        self.leases = Leases(clock, limits.idle_stop_s, self._registry.publish_again)
        self._registry.on_change = self.leases.follow
        effects = Effects(
            backend=backend,
            records=records,
            registry=self._registry,
            clock=clock,
            limits=limits,
            spec_of=self._spec,
            files_of=lambda repl: first_files(repl, templates[repl.template]),
            may_copy=may_copy,
        )
        self._reconciler = Reconciler(
            backend=backend,
            records=records,
            registry=self._registry,
            effects=effects,
            leases=self.leases,
            clock=clock,
            limits=limits,
        )
        self._computing = Computing(backend, clock, limits, on_activity=self.touch)
        self._thinning = Thinning(backend, records, clock, limits)
        self._faults = Faults(limits)
        self._loop: asyncio.Task[None] | None = None
        self.stop_on_exit = False  # whether all that runs is stopped, and saved before, when the orchestrator ends
        backend.on_activity = self.touch

    async def __aenter__(self) -> Self:
        await self.backend.__aenter__()
        try:
            if self.backend.election is None:
                await self._reconciler.adopt()
        except BaseException:
            await self.backend.__aexit__(None, None, None)
            raise
        self._loop = asyncio.create_task(self._run(), name="orchestrator")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.stop_on_exit:
            try:
                await stop_all(self._stop, self._registry, self._records, self._clock, self.limits.shutdown_deadline_s)
            except Exception:  # the database is away, say: what runs is ended all the same
                log.exception("REPLs were not stopped in order; they are saved when DEVEX starts again")
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        await self.backend.__aexit__(None, None, None)

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name="following")
                tasks.create_task(self.leases.run(), name="warnings")
                tasks.create_task(self._computing.run(), name="computing")
                if self.backend.election is None:
                    tasks.create_task(self._act(), name="acting")
                else:
                    tasks.create_task(self._act_in_turn(self.backend.election), name="acting in turn")
        except Exception:  # a fault in one of the loops themselves
            log.critical("no REPL starts or stops any more until the server is restarted", exc_info=True)

    async def _follow(self) -> None:
        """Hear of what other servers change, until cancelled."""
        while True:
            pause_s = self.limits.retry_first_s
            try:
                async with aclosing(self._records.watch()) as changes:
                    async for changed in changes:
                        for repl_id in await self._registry.hear(changed):
                            self._wake(repl_id)
                        self._faults.worked("hearing of changes")
            except Exception as error:
                pause_s = self._faults.failed("hearing of changes", error)
            await self._clock.sleep_until(after(self._clock, pause_s))

    async def _act(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reconciler.run(), name="reconciler")
            tasks.create_task(self._thinning.run(), name="thinning")

    async def _act_in_turn(self, election: Election) -> None:
        """Whenever this server leads, until cancelled."""

        async def take_over() -> None:
            await self._reconciler.adopt()
            self._faults.worked("leading")
            await self._act()

        while True:
            pause_s = self.limits.retry_first_s
            try:
                await election.run(take_over)
            except Exception as error:
                pause_s = self._faults.failed("leading", error)
            await self._clock.sleep_until(after(self._clock, pause_s))

    # Reading

    async def get(self, repl_id: str) -> Repl:
        return await self._registry.get(repl_id)

    async def get_by_slug(self, slug: str) -> Repl | None:
        return await self._records.get_by_slug(slug)

    async def list_by_ids(self, repl_ids: Collection[str]) -> list[Repl]:
        """Those in use, last opened first."""
        return [repl for repl in await self._records.list_by_ids(repl_ids) if not repl.in_trash]

    async def list(self, owner_id: str, *, trash: bool = False) -> list[Repl]:
        """Last opened first: those in use, or those in the trash."""
        found = [repl for repl in await self._records.list_by_owner(owner_id) if repl.in_trash is trash]
        for repl in found:
            if not repl.seeded:
                self._wake(repl.id)  # another process has made it, perhaps, and nobody told us
        return found

    async def laid_out(self, repl_id: str) -> Repl:
        """Once its first files are there, if they come; of what another process has made they do from now on.

        Raises DevexError when that takes too long.
        """
        until = after(self._clock, LAID_OUT_S)
        try:
            return await within(self._clock, until, self._until_laid_out(repl_id))
        except TimeoutError:
            message = "Its files are still being laid out."
            action = "Wait a moment and try again."
            raise DevexError("not_laid_out", message, action, status=503, retryable=True) from None

    def subscribe(
        self, *, repl_id: str | None = None, owner_id: str | None = None, also: Container[str] = ()
    ) -> Subscription[Repl]:
        """Repls as they change, from now on: also when a warning of the lease falls due or is lifted. `also` are ids of
        some of other owners, and may change.
        """

        def wanted(repl: Repl) -> bool:
            return (repl_id is None or repl.id == repl_id) and (
                owner_id is None or repl.owner_id == owner_id or repl.id in also
            )

        return self._registry.subscribe(wanted)

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        """What serves it while it runs; None while it does not."""
        return self.backend.runner_app(repl_id)

    def files_app(self, repl: Repl) -> ASGIApp:
        """Its files for reading, whether it runs or not."""
        return self.backend.files_app(repl.id, self.limits.size_of(repl.template))

    # Making

    def missing(self, template: Template) -> str | None:
        """None when REPLs can be made from it; else a sentence that says which tools sandboxes lack."""
        return template.missing(self.backend.has_tool)

    async def create(
        self, owner_id: str, name: str, template: str, *, start: bool = True, request_id: str | None = None
    ) -> Repl:
        """A new Repl, starting if wanted; the same `request_id` of one owner always gives the same Repl."""
        if template not in self.templates:
            raise DevexError("template", "There is no such template.", "Choose one from the list.", status=422)
        if missing := self.missing(self.templates[template]):
            raise DevexError("template_unavailable", missing, "Choose another template.", status=422)
        new = New(name=parse_name(name), template=template)
        return await self._insert(owner_id, new, start=start, request_id=request_id)

    async def fork(
        self,
        repl_id: str,
        owner_id: str,
        *,
        version: str | None = None,
        name: str | None = None,
        start: bool = True,
        request_id: str | None = None,
    ) -> Repl:
        """A new Repl of `owner_id` with a copy of the files as they are now, or as they were in `version`."""
        source = await self.get(repl_id)
        _refuse_trash(source)
        new = New(
            name=parse_name(name if name is not None else f"{source.name[:72]} (copy)"),
            template=source.template,
            copy_of=repl_id,
            copy_version=version,
        )
        return await self._insert(owner_id, new, start=start, request_id=request_id)

    # Changing what is wanted

    async def start(self, repl_id: str) -> Repl:
        """Have it run; also the Recover of one that failed. Returns at once."""
        now = self._clock.now()

        def change(repl: Repl) -> dict[str, Any]:
            _refuse_trash(repl)
            visited = now - repl.opened_at >= timedelta(seconds=OPENED_RESOLUTION_S)
            changes: dict[str, Any] = {"opened_at": now} if visited else {}
            return changes | ({} if repl.goal is Goal.RUN else {"goal": Goal.RUN, "stop_reason": None})

        repl = await self.get(repl_id)
        async with self.quota.lock(repl.owner_id):
            if repl.goal is not Goal.RUN:
                await self.quota.check_one_more_running(repl.owner_id)
            repl = await self._change(repl_id, change)
        self.leases.renew(repl_id, Activity.OPENED)
        return repl

    async def open(self, repl_id: str, *, deadline_s: float = OPEN_DEADLINE_S) -> Repl:
        """Start it if need be and return it once it runs; raises DevexError when it fails or takes too long."""
        changes = self.subscribe(repl_id=repl_id)
        repl = await self.start(repl_id)
        try:
            until = after(self._clock, deadline_s)
            return await within(self._clock, until, self._until_running(repl, changes))
        except TimeoutError:
            message = f"It is not ready after {deadline_s:.0f} seconds."
            raise DevexError(
                "slow_start", message, "Wait a moment and try again.", status=504, retryable=True
            ) from None

    async def stop(self, repl_id: str) -> Repl:
        """Returns at once."""
        return await self._stop(repl_id, STOPPED_BY_USER)

    async def rename(self, repl_id: str, name: str) -> Repl:
        """The slug stays, so that addresses go on working."""
        chosen = parse_name(name)
        return await self._change(repl_id, lambda repl: {} if repl.name == chosen else {"name": chosen})

    async def delete(self, repl_id: str) -> Repl:
        """Into the trash, from any phase: it is stopped, and removed for good after `limits.trash_s`."""
        now = self._clock.now()

        def change(repl: Repl) -> dict[str, Any]:
            if repl.in_trash:
                return {}
            purge_at = now + timedelta(seconds=self.limits.trash_s)
            reason = DELETED if repl.goal is Goal.RUN else repl.stop_reason
            return {"goal": Goal.DELETE, "deleted_at": now, "purge_at": purge_at, "stop_reason": reason}

        return await self._change(repl_id, change)

    async def undelete(self, repl_id: str) -> Repl:
        """Out of the trash, stopped; refused once its removal may have begun, for parts of it may be gone."""

        def change(repl: Repl) -> dict[str, Any]:
            if not repl.in_trash:
                return {}
            now = self._clock.now()  # looked at with the record: a purge may have come in between
            if repl.purge_at is None or repl.purge_at <= now:
                raise DevexError("removing", "It is being removed for good.", "Create a new REPL.", status=409)
            changes: dict[str, Any] = {"goal": Goal.STOP, "deleted_at": None, "purge_at": None}
            return changes if repl.seeded else changes | {"phase_at": now}  # its files get their full time

        return await self._change(repl_id, change)

    async def purge(self, repl_id: str) -> None:
        """Remove what is in the trash for good, now."""
        now = self._clock.now()

        def change(repl: Repl) -> dict[str, Any]:
            if not repl.in_trash:
                raise DevexError("not_in_trash", "It is not in the trash.", "Delete it first.", status=409)
            return {"purge_at": now}

        await self._change(repl_id, change)

    # Staying awake

    def touch(self, repl_id: str, reason: str) -> None:
        """Activity renews the lease. `reason` is a value of Activity."""
        self.leases.renew(repl_id, Activity(reason))

    async def extend(self, repl_id: str, hours: int) -> Lease | None:
        """Keep it awake for so many hours (one of EXTEND_HOURS) from now, whatever happens; recorded, so that a
        restarted server keeps it awake as well. Raises DevexError when it does not run or the day's budget is used up.
        """
        if hours not in EXTEND_HOURS:
            choice = ", ".join(map(str, EXTEND_HOURS))
            raise DevexError("hours", f"It is kept awake for {choice} hours.", "Choose one of them.", status=422)
        now = self._clock.now()
        owner_id = (await self.get(repl_id)).owner_id
        async with self.quota.lock(owner_id):
            left_s = await self.quota.extension_left_s(owner_id)

            def change(repl: Repl) -> dict[str, Any]:
                if repl.phase is not Phase.RUNNING or repl.goal is not Goal.RUN:
                    raise DevexError("not_running", "It does not run.", "Start it.", status=409, retryable=True)
                changes = extended(repl, hours, now)
                self.quota.check_extension(changes["extended_s"] - used_today_s([repl], now), left_s)
                return changes

            await self._change(repl_id, change)
        return self.leases.get(repl_id)

    # Parts

    async def _insert(self, owner_id: str, new: New, *, start: bool, request_id: str | None) -> Repl:
        async with self.quota.lock(owner_id):
            if request_id is not None:
                earlier = await self._records.get_by_request(owner_id, request_id)
                if earlier is not None:
                    return earlier
            await self.quota.check_one_more(owner_id)
            if start:
                await self.quota.check_one_more_running(owner_id)
            now = self._clock.now()
            repl = Repl(
                id=new_id(),
                slug=new_slug(new.name),
                owner_id=owner_id,
                name=new.name,
                template=new.template,
                goal=Goal.RUN if start else Goal.STOP,
                created_at=now,
                opened_at=now,
                phase_at=now,
                copy_of=new.copy_of,
                copy_version=new.copy_version,
                request_id=request_id,
            )
            repl = await self._registry.insert(repl)
        self._wake(repl.id)
        return repl

    async def _stop(self, repl_id: str, reason: str) -> Repl:
        def change(repl: Repl) -> dict[str, Any]:
            return {"goal": Goal.STOP, "stop_reason": reason} if repl.goal is Goal.RUN else {}

        return await self._change(repl_id, change)

    async def _change(self, repl_id: str, change: Callable[[Repl], dict[str, Any]]) -> Repl:
        try:
            return await self._registry.change(repl_id, change)
        finally:
            self._wake(repl_id)  # also of who was cut off once it was recorded

    def _wake(self, repl_id: str) -> None:
        self._reconciler.wake(repl_id)

    async def _until_running(self, repl: Repl, changes: Subscription[Repl]) -> Repl:
        while repl.phase is not Phase.RUNNING or repl.goal is not Goal.RUN:
            if repl.goal is not Goal.RUN:
                message = repl.failure or repl.stop_reason or "It was stopped."
                raise DevexError("start_failed", message, "Press Start to try again.", status=503, retryable=True)
            repl = await anext(changes)
        return repl

    async def _until_laid_out(self, repl_id: str) -> Repl:
        changes = self.subscribe(repl_id=repl_id)
        repl = await self.get(repl_id)
        if not repl.seeded:
            self._wake(repl_id)
        while not repl.seeded and repl.phase is Phase.STOPPED and not repl.in_trash:
            repl = await anext(changes)
        return repl

    def _spec(self, repl: Repl) -> SandboxSpec:
        return sandbox_spec(repl, self.templates.get(repl.template), self.limits, self._environment(repl))


def _refuse_trash(repl: Repl) -> None:
    if repl.in_trash:
        raise DevexError("in_trash", "It is in the trash.", "Restore it first.", status=409)
