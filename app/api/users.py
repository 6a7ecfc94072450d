"""For administrators: users and invitations."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from pydantic import BaseModel

from app.access import Action, Role, allowed
from app.api.accounts import services_of

router = APIRouter()


class UserShape(BaseModel):
    id: str
    name: str
    role: Role
    created_at: datetime
    disabled: bool


class UserChange(BaseModel):
    role: Annotated[Role | None, "unchanged when None"] = None
    disabled: Annotated[bool | None, "unchanged when None"] = None


class Invitation(BaseModel):
    url: str


@router.get("/api/users", dependencies=[allowed(Action.ADMINISTER)])
async def users(request: Request) -> list[UserShape]:
    listed = await services_of(request).accounts.users()
    return [UserShape.model_validate(one, from_attributes=True) for one in listed]


@router.patch("/api/users/{user_id}", status_code=204, dependencies=[allowed(Action.ADMINISTER)])
async def change_user(request: Request, user_id: str, change: UserChange) -> None:
    """Ends the user's sessions: new rights come with signing in again."""
    accounts = services_of(request).accounts
    if change.role is not None:
        await accounts.set_role(user_id, change.role)
    if change.disabled is not None:
        await accounts.set_disabled(user_id, change.disabled)


@router.post("/api/invites", status_code=201, dependencies=[allowed(Action.ADMINISTER)])
async def invite(request: Request) -> Invitation:
    """An address that lets one person sign up."""
    services = services_of(request)
    query = urlencode({"invite": await services.accounts.invite()})
    return Invitation(url=f"{services.settings.origin}/sign-up?{query}")
