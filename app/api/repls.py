"""REPLs: made, listed, started, stopped, renamed, forked, deleted, taken back, kept awake, previewed."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field

from app.access import Access, Action, ReplRole, allowed
from app.api.dependencies import OrchestratorDep, PreviewsDep
from app.gateway.runner_client import RunnerClient
from app.gateway.runners import viewer_of
from orchestrator.domain import EXTEND_HOURS, Activity, Goal, Phase, Repl
from orchestrator.service import Orchestrator

router = APIRouter()

Name = Annotated[str, Field(max_length=400)]  # parse_name says more kindly what is too long
RequestId = Annotated[str, Field(max_length=64, pattern="^[!-~]*$")]


class NewRepl(BaseModel):
    name: Name
    template: Annotated[str, Field(max_length=64)]
    start: bool = True
    request_id: RequestId | None = Field(
        default=None, description="The same id gives the same REPL: a double click makes one."
    )


class Copy(BaseModel):
    name: Name | None = None
    version: Annotated[str, Field(pattern="^[0-9]{1,8}-[0-9]{1,10}$")] | None = Field(
        default=None, description="The files as they were in this version; by default as they are now."
    )
    start: bool = True
    request_id: RequestId | None = None


class Extension(BaseModel):
    hours: int = Field(default=4, description="1, 4 or 12.")


class Rename(BaseModel):
    name: Name


class PreviewWanted(BaseModel):
    port: int
    also: Annotated[list[int], Field(max_length=32)] = Field(
        default_factory=list, description="Other open ports the page may call: their hosts are entered on the way."
    )
    path: Annotated[str, Field(max_length=2000)] = "/"


class Address(BaseModel):
    url: str


class LeaseShape(BaseModel):
    activity: str
    renewed_at: datetime
    expires_at: datetime


class SpanShape(BaseModel):
    activity: Activity
    begun_at: datetime
    ended_at: datetime


class LedgerShape(BaseModel):
    lease: LeaseShape | None = Field(description="What keeps it awake now; null while it does not run.")
    since: datetime = Field(description="When this server started: the spans begin here.")
    spans: list[SpanShape]
    extend_hours: tuple[int, ...] = Field(description="What `extend` may be asked for.")
    extend_left_s: float = Field(description="Of today's (UTC) budget for it.")


class ReplShape(BaseModel):
    id: str
    role: ReplRole = Field(description="What the one who asks is to it: an editor types and runs, a viewer looks.")
    slug: str
    name: str
    template: str
    goal: Goal
    phase: Phase
    epoch: int
    failure: str | None
    stop_reason: str | None
    saved_version: str | None = Field(description="The newest version that the store acknowledged at a stop.")
    saved_at: datetime | None = Field(description="Until when that holds everything.")
    unsafe: str | None = Field(description="Why nothing newer could be stored.")
    lacks: str | None = Field(
        description="Which files of the version it was copied from the store could not give; until its second start."
    )
    created_at: datetime
    opened_at: datetime
    deleted_at: datetime | None
    purge_at: datetime | None
    lease: LeaseShape | None


class TemplateShape(BaseModel):
    name: str
    title: str
    description: str
    language: str
    run_command: str | None
    port: int | None
    missing: str | None = Field(description="What this server lacks for it.")


def shape(orchestrator: Orchestrator, repl: Repl, role: ReplRole) -> ReplShape:
    fields = {name: getattr(repl, name) for name in ReplShape.model_fields if name not in ("role", "lease")}
    return ReplShape(**fields, role=role, lease=lease_shape(orchestrator, repl))


def lease_shape(orchestrator: Orchestrator, repl: Repl) -> LeaseShape | None:
    lease = orchestrator.leases.get(repl.id)
    return LeaseShape.model_validate(lease, from_attributes=True) if lease else None


@router.get("/api/templates", dependencies=[allowed(Action.LIST)])
async def templates(orchestrator: OrchestratorDep) -> list[TemplateShape]:
    return [
        TemplateShape(
            name=one.name,
            title=one.title,
            description=one.description,
            language=one.language,
            run_command=one.run_command,
            port=one.port,
            missing=orchestrator.missing(one),
        )
        for one in orchestrator.templates.values()
    ]


@router.get("/api/repls")
async def repls(
    orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.LIST)], trash: bool = Query(default=False)
) -> list[ReplShape]:
    """One's own, last opened first."""
    return [
        shape(orchestrator, repl, ReplRole.OWNER) for repl in await orchestrator.list(access.actor.user_id, trash=trash)
    ]


@router.post("/api/repls", status_code=201)
async def create(
    orchestrator: OrchestratorDep, wanted: NewRepl, access: Annotated[Access, allowed(Action.CREATE)]
) -> ReplShape:
    repl = await orchestrator.create(
        access.actor.user_id, wanted.name, wanted.template, start=wanted.start, request_id=wanted.request_id
    )
    return shape(orchestrator, repl, ReplRole.OWNER)


@router.get("/api/repls/{repl_id}")
async def one(orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.OPEN)]) -> ReplShape:
    return shape(orchestrator, access.the_repl, access.the_role)


@router.patch("/api/repls/{repl_id}")
async def rename(
    orchestrator: OrchestratorDep, change: Rename, access: Annotated[Access, allowed(Action.RENAME)]
) -> ReplShape:
    return shape(orchestrator, await orchestrator.rename(access.the_repl.id, change.name), access.the_role)


@router.delete("/api/repls/{repl_id}")
async def delete(
    orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.DELETE)], purge: bool = Query(default=False)
) -> ReplShape:
    """Into the trash; with `purge`, what is in the trash is removed for good."""
    if purge:
        await orchestrator.purge(access.the_repl.id)
        return shape(orchestrator, access.the_repl, access.the_role)
    return shape(orchestrator, await orchestrator.delete(access.the_repl.id), access.the_role)


@router.post("/api/repls/{repl_id}/undelete")
async def undelete(orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.DELETE)]) -> ReplShape:
    return shape(orchestrator, await orchestrator.undelete(access.the_repl.id), access.the_role)


@router.post("/api/repls/{repl_id}/start")
async def start(
    orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.START)], wait: bool = Query(default=False)
) -> ReplShape:
    """With `wait` it answers once the REPL runs, or says why it does not."""
    begin = orchestrator.open if wait else orchestrator.start
    return shape(orchestrator, await begin(access.the_repl.id), access.the_role)


@router.post("/api/repls/{repl_id}/stop")
async def stop(orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.STOP)]) -> ReplShape:
    return shape(orchestrator, await orchestrator.stop(access.the_repl.id), access.the_role)


@router.post("/api/repls/{repl_id}/extend")
async def extend(
    orchestrator: OrchestratorDep,
    access: Annotated[Access, allowed(Action.EXTEND)],
    wanted: Annotated[Extension, Body(default_factory=Extension)],
) -> ReplShape:
    """Keep it awake for some hours from now, whatever happens, out of a day's budget."""
    await orchestrator.extend(access.the_repl.id, wanted.hours)
    return shape(orchestrator, await orchestrator.get(access.the_repl.id), access.the_role)


@router.get("/api/repls/{repl_id}/lease")
async def lease(orchestrator: OrchestratorDep, access: Annotated[Access, allowed(Action.OPEN)]) -> LedgerShape:
    """What keeps it awake, until when, and what kept it awake before."""
    repl = access.the_repl
    left_s = await orchestrator.quota.extension_left_s(repl.owner_id)
    spans = [SpanShape.model_validate(span, from_attributes=True) for span in orchestrator.leases.ledger(repl.id)]
    return LedgerShape(
        lease=lease_shape(orchestrator, repl),
        since=orchestrator.leases.since,
        spans=spans,
        extend_hours=EXTEND_HOURS,
        extend_left_s=left_s,
    )


@router.post("/api/repls/{repl_id}/fork", status_code=201)
async def fork(
    orchestrator: OrchestratorDep, wanted: Copy, access: Annotated[Access, allowed(Action.FORK)]
) -> ReplShape:
    """A new REPL with a copy of the files; a stopped one is not started for it."""
    source = access.the_repl
    if wanted.version is not None:  # said now, instead of by a copy that fails
        files = RunnerClient(orchestrator.files_app(source), viewer_of(access))
        await files.ask("GET", f"snapshots/{wanted.version}/tree")
    copy = await orchestrator.fork(
        source.id,
        access.actor.user_id,
        version=wanted.version,
        name=wanted.name,
        start=wanted.start,
        request_id=wanted.request_id,
    )
    return shape(orchestrator, copy, ReplRole.OWNER)


@router.post("/api/repls/{repl_id}/preview")
async def preview(
    previews: PreviewsDep, wanted: PreviewWanted, access: Annotated[Access, allowed(Action.PREVIEW)]
) -> Address:
    """An address that shows the port in this browser: good once, for a minute."""
    return Address(url=previews.enter_url(access.the_repl, access.actor, wanted.port, wanted.also, wanted.path))
