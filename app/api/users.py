"""For administrators: users and invitations."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from app.access import Action, Role, allowed
from app.accounts.links import invitation_url
from app.api.dependencies import AccountsDep, ServicesDep

router = APIRouter()


class UserShape(BaseModel):
    id: str
    name: str
    role: Role
    created_at: datetime
    disabled: bool


class UserChange(BaseModel):
    """What is left out stays as it is."""

    role: Role | None = None
    disabled: bool | None = None


class Invitation(BaseModel):
    url: str


@router.get("/api/users", dependencies=[allowed(Action.ADMINISTER)])
async def users(accounts: AccountsDep) -> list[UserShape]:
    listed = await accounts.users()
    return [UserShape.model_validate(one, from_attributes=True) for one in listed]


@router.patch("/api/users/{user_id}", status_code=204, dependencies=[allowed(Action.ADMINISTER)])
async def change_user(accounts: AccountsDep, user_id: str, change: UserChange) -> None:
    """Ends the user's sessions: new rights come with signing in again."""
    if change.role is not None:
        await accounts.set_role(user_id, change.role)
    if change.disabled is not None:
        await accounts.set_disabled(user_id, change.disabled)


@router.post("/api/invites", status_code=201, dependencies=[allowed(Action.ADMINISTER)])
async def invite(services: ServicesDep) -> Invitation:
    """An address that lets one person sign up."""
    return Invitation(url=invitation_url(services.settings.origin, await services.accounts.invite()))
