"""Who else is in a REPL: listed, let in, removed; and what others have let one into."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.access import Access, Action, MemberRole, ReplRole, allowed
from app.api.accounts import Name
from app.api.dependencies import MembersDep, OrchestratorDep
from app.api.repls import ReplShape, shape
from runner.errors import DevexError

router = APIRouter()


class NewMember(BaseModel):
    name: Name = Field(description="Their user name.")
    role: MemberRole


class MemberShape(BaseModel):
    user_id: str
    name: str
    role: MemberRole
    since: datetime


class SharedShape(BaseModel):
    owner: str = Field(description="The owner's user name.")
    repl: ReplShape


@router.get("/api/shared")
async def shared(
    orchestrator: OrchestratorDep, members: MembersDep, access: Annotated[Access, allowed(Action.LIST)]
) -> list[SharedShape]:
    """REPLs of others that one is a member of, last opened first."""
    found = await members.shared_with(access.actor.user_id, orchestrator)
    return [SharedShape(owner=one.owner, repl=shape(orchestrator, one.repl, one.role)) for one in found]


@router.get("/api/repls/{repl_id}/members")
async def listed(members: MembersDep, access: Annotated[Access, allowed(Action.OPEN)]) -> list[MemberShape]:
    """By name, without the owner."""
    found = await members.of(access.the_repl.id)
    return [MemberShape.model_validate(one, from_attributes=True) for one in found]


@router.post("/api/repls/{repl_id}/members")
async def let_in(
    members: MembersDep, wanted: NewMember, access: Annotated[Access, allowed(Action.SHARE)]
) -> MemberShape:
    """Somebody becomes an editor or a viewer, whatever they were before."""
    member = await members.let_in(access.the_repl, wanted.name, wanted.role)
    return MemberShape.model_validate(member, from_attributes=True)


@router.delete("/api/repls/{repl_id}/members/{user_id}", status_code=204)
async def remove(members: MembersDep, user_id: str, access: Annotated[Access, allowed(Action.SHARE)]) -> None:
    """What they have open of it is closed."""
    await members.remove(access.the_repl.id, user_id)


@router.delete("/api/repls/{repl_id}/membership", status_code=204)
async def leave(members: MembersDep, access: Annotated[Access, allowed(Action.LEAVE)]) -> None:
    """No longer be a member. An owner cannot leave."""
    if access.the_role is ReplRole.OWNER:
        raise DevexError("owner", "You own this REPL.", "Delete it instead.", status=409)
    await members.remove(access.the_repl.id, access.actor.user_id)
