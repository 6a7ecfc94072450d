"""Signing up, in and out, and one's own account. Only these answers set the session cookie."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Response
from pydantic import BaseModel, Field

from app import cookies
from app.access import Access, Action, Actor, SignInNeeded, allowed
from app.accounts import SignedIn
from app.accounts.sessions import TOKEN_DAYS
from app.api.dependencies import AccountsDep, ServicesDep, VisitorDep
from app.services import Services
from runner.cookies import set_cookie

router = APIRouter()

COOKIE_LASTS_S = 400 * 86400  # as long as browsers keep one; the server decides when a session ends

Name = Annotated[str, Field(max_length=200)]
Secret = Annotated[str, Field(max_length=2000)]


class Credentials(BaseModel):
    name: Name
    password: Secret


class NewUser(Credentials):
    invite: Secret = ""


class FirstUser(Credentials):
    token: Secret


class PasswordChange(BaseModel):
    old: Secret
    new: Secret


class Me(BaseModel):
    id: str
    name: str
    role: str


class SessionShape(BaseModel):
    id: str
    browser: str
    created_at: datetime
    seen_at: datetime
    current: bool


class NewToken(BaseModel):
    name: Name = Field(description="What it is for.")
    days: int = Field(default=TOKEN_DAYS, description="For how long it is good, at most 365.")


class TokenShape(BaseModel):
    id: str
    name: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class MadeToken(TokenShape):
    token: str = Field(description="Shown this once.")


@router.get("/api/session")
async def me(access: Annotated[Access, allowed(Action.VISIT)]) -> Me:
    """Who is signed in here: 401 for nobody, which an open page asks when its socket is refused."""
    if not access.actor.signed_in:
        raise SignInNeeded
    return _me(access.actor)


@router.post("/api/session")
async def sign_in(
    *,
    services: ServicesDep,
    visitor: VisitorDep,
    response: Response,
    tasks: BackgroundTasks,
    given: Credentials,
    access: Annotated[Access, allowed(Action.VISIT)],
) -> Me:
    """The token is new each time, so one that was planted before means nothing, and this browser's last one ends."""
    signed_in = await services.accounts.sign_in(given.name, given.password, visitor=visitor)
    if access.actor.signed_in:  # once the new cookie is there: pages that were open come back with it
        tasks.add_task(services.accounts.sessions.sign_out, access.actor)
    return _welcome(services, response, signed_in)


@router.delete("/api/session", status_code=204)
async def sign_out(services: ServicesDep, response: Response, access: Annotated[Access, allowed(Action.VISIT)]) -> None:
    """Also closes what this browser has open elsewhere."""
    if access.actor.signed_in:
        await services.accounts.sessions.sign_out(access.actor)
    _set_cookie(services, response, "", 0)


@router.post("/api/users", status_code=201, dependencies=[allowed(Action.VISIT)])
async def sign_up(services: ServicesDep, visitor: VisitorDep, response: Response, given: NewUser) -> Me:
    new = await services.accounts.sign_up(given.name, given.password, invite=given.invite, visitor=visitor)
    return _welcome(services, response, new)


@router.post("/api/setup", status_code=201, dependencies=[allowed(Action.VISIT)])
async def set_up(services: ServicesDep, visitor: VisitorDep, response: Response, given: FirstUser) -> Me:
    new = await services.accounts.set_up(given.token, given.name, given.password, visitor=visitor)
    return _welcome(services, response, new)


@router.post("/api/account/password")
async def change_password(
    services: ServicesDep,
    visitor: VisitorDep,
    response: Response,
    given: PasswordChange,
    access: Annotated[Access, allowed(Action.ACCOUNT)],
) -> Me:
    """Every browser is signed out, and this one in again."""
    again = await services.accounts.change_password(access.actor, given.old, given.new, visitor=visitor)
    return _welcome(services, response, again)


@router.get("/api/account/sessions")
async def sessions(accounts: AccountsDep, access: Annotated[Access, allowed(Action.ACCOUNT)]) -> list[SessionShape]:
    return [
        SessionShape(
            id=one.id,
            browser=one.browser,
            created_at=one.created_at,
            seen_at=one.seen_at,
            current=one.id == access.actor.session_id,
        )
        for one in await accounts.sessions.of(access.actor)
    ]


@router.delete("/api/account/sessions/{session_id}", status_code=204)
async def end_session(
    accounts: AccountsDep, session_id: str, access: Annotated[Access, allowed(Action.ACCOUNT)]
) -> None:
    await accounts.sessions.end(access.actor, session_id)


@router.get("/api/account/tokens")
async def tokens(accounts: AccountsDep, access: Annotated[Access, allowed(Action.ACCOUNT)]) -> list[TokenShape]:
    return [
        TokenShape.model_validate(one, from_attributes=True) for one in await accounts.sessions.tokens(access.actor)
    ]


@router.post("/api/account/tokens", status_code=201)
async def new_token(
    accounts: AccountsDep, response: Response, wanted: NewToken, access: Annotated[Access, allowed(Action.ACCOUNT)]
) -> MadeToken:
    """For a script, which sends it as `Authorization: Bearer …`."""
    actor = access.actor
    made, token = await accounts.sessions.new_token(
        actor.user_id, wanted.name, wanted.days, session_id=actor.session_id
    )
    response.headers["Cache-Control"] = "no-store"
    return MadeToken(**TokenShape.model_validate(made, from_attributes=True).model_dump(), token=token)


@router.delete("/api/account/tokens/{session_id}", status_code=204)
async def revoke_token(
    accounts: AccountsDep, session_id: str, access: Annotated[Access, allowed(Action.ACCOUNT)]
) -> None:
    await accounts.sessions.end(access.actor, session_id)


def _me(actor: Actor) -> Me:
    return Me(id=actor.user_id, name=actor.name, role=actor.role)


def _welcome(services: Services, response: Response, signed_in: SignedIn) -> Me:
    _set_cookie(services, response, signed_in.token, COOKIE_LASTS_S)
    return _me(signed_in.actor)


def _set_cookie(services: Services, response: Response, token: str, lasts_s: int) -> None:
    https = services.settings.https
    name = cookies.full_name(cookies.SESSION, https=https)
    response.headers["Set-Cookie"] = set_cookie(name, token, secure=https, max_age_s=lasts_s)
    response.headers["Cache-Control"] = "no-store"
