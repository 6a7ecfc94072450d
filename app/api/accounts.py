"""Signing in and out, one's own account, and whether the server is well. Only these answers set the session cookie."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from app import cookies
from app.access import Access, Action, SignInNeeded, allowed
from app.accounts import SignedIn, Visitor
from app.addresses import network_of
from app.services import Services

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


def services_of(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def visitor_of(request: Request) -> Visitor:
    address = request.client.host if request.client else ""
    return Visitor(network_of(address), request.headers.get("user-agent", ""))


@router.get("/healthz", include_in_schema=False, dependencies=[allowed(Action.VISIT)])
async def health(request: Request) -> dict[str, str]:
    """Answers when the database does."""
    await services_of(request).accounts.nobody_yet()
    return {"status": "ok"}


@router.get("/api/session")
async def me(access: Annotated[Access, allowed(Action.VISIT)]) -> Me:
    """Who is signed in here: 401 for nobody, which an open page asks when its socket is refused."""
    if not access.actor.signed_in:
        raise SignInNeeded
    return Me(id=access.actor.user_id, name=access.actor.name, role=access.actor.role)


@router.post("/api/session", dependencies=[allowed(Action.VISIT)])
async def sign_in(request: Request, response: Response, given: Credentials) -> Me:
    """The token is new each time, so one that was planted before means nothing."""
    accounts = services_of(request).accounts
    return _welcome(request, response, await accounts.sign_in(given.name, given.password, visitor=visitor_of(request)))


@router.delete("/api/session", status_code=204)
async def sign_out(request: Request, response: Response, access: Annotated[Access, allowed(Action.VISIT)]) -> None:
    """Also closes what this browser has open elsewhere."""
    if access.actor.signed_in:
        await services_of(request).accounts.sign_out(access.actor)
    _set_cookie(request, response, "", 0)


@router.post("/api/users", status_code=201, dependencies=[allowed(Action.VISIT)])
async def sign_up(request: Request, response: Response, given: NewUser) -> Me:
    accounts = services_of(request).accounts
    visitor = visitor_of(request)
    new = await accounts.sign_up(given.name, given.password, invite=given.invite, visitor=visitor)
    return _welcome(request, response, new)


@router.post("/api/setup", status_code=201, dependencies=[allowed(Action.VISIT)])
async def set_up(request: Request, response: Response, given: FirstUser) -> Me:
    accounts = services_of(request).accounts
    new = await accounts.set_up(given.token, given.name, given.password, visitor=visitor_of(request))
    return _welcome(request, response, new)


@router.post("/api/account/password")
async def change_password(
    request: Request, response: Response, given: PasswordChange, access: Annotated[Access, allowed(Action.ACCOUNT)]
) -> Me:
    """Every browser is signed out, and this one in again."""
    accounts = services_of(request).accounts
    again = await accounts.change_password(access.actor, given.old, given.new, visitor=visitor_of(request))
    return _welcome(request, response, again)


@router.get("/api/account/sessions")
async def sessions(request: Request, access: Annotated[Access, allowed(Action.ACCOUNT)]) -> list[SessionShape]:
    return [
        SessionShape(
            id=one.id,
            browser=one.browser,
            created_at=one.created_at,
            seen_at=one.seen_at,
            current=one.id == access.actor.session_id,
        )
        for one in await services_of(request).accounts.sessions(access.actor)
    ]


@router.delete("/api/account/sessions/{session_id}", status_code=204)
async def end_session(request: Request, session_id: str, access: Annotated[Access, allowed(Action.ACCOUNT)]) -> None:
    await services_of(request).accounts.end_session(access.actor, session_id)


def _welcome(request: Request, response: Response, signed_in: SignedIn) -> Me:
    _set_cookie(request, response, signed_in.token, COOKIE_LASTS_S)
    actor = signed_in.actor
    return Me(id=actor.user_id, name=actor.name, role=actor.role)


def _set_cookie(request: Request, response: Response, token: str, lasts_s: int) -> None:
    https = services_of(request).settings.https
    name = cookies.full_name(cookies.SESSION, https=https)
    response.headers["Set-Cookie"] = cookies.set_cookie(name, token, secure=https, max_age_s=lasts_s)
    response.headers["Cache-Control"] = "no-store"
