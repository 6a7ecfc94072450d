"""Who may do what: one table, one function, one dependency that every route declares.

An API route takes `access: Annotated[Access, allowed(Action.STOP)]`; a page declares
`@ui.page("/repl/{repl_id}", dependencies=[allowed(Action.OPEN)])`, or takes `access` as a parameter as well. A path
parameter `repl_id`, or `slug`, names the Repl the action is about. A route that declares nothing stops the start of
the server. Who is not signed in is refused with 401, which for a page means: sent to /sign-in?then=….
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute

from app.addresses import network_of
from app.bearer import bearer_token
from app.cookies import session_token
from orchestrator.domain import Repl
from orchestrator.registry import NoSuchRepl
from runner.errors import DevexError

if TYPE_CHECKING:
    from app.services import Services

_REPL_ID = re.compile(r"[a-z0-9]{1,32}")


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking. `session_id` names the browser's session or the token (it is no secret); "" is nobody."""

    user_id: str = ""
    name: str = ""
    role: Role = Role.USER
    session_id: str = ""
    by_token: bool = False  # a script, by a token that the user made for it

    @property
    def signed_in(self) -> bool:
        return bool(self.user_id)

    @property
    def is_admin(self) -> bool:
        return self.signed_in and self.role is Role.ADMIN


NOBODY = Actor()


class Action(StrEnum):
    VISIT = "visit"  # what shows nothing of anybody: sign-in, sign-up, health
    LIST = "list"  # one's own REPLs, and what they can be made from
    CREATE = "create"
    ACCOUNT = "account"  # one's own password and sessions
    ADMINISTER = "administer"
    OPEN = "open"  # see a REPL, its state and its files
    WRITE = "write"  # type, run, edit
    START = "start"
    STOP = "stop"
    EXTEND = "extend"
    RENAME = "rename"
    FORK = "fork"
    DELETE = "delete"  # and take back from the trash
    PREVIEW = "preview"  # the ports of its programs


class Who(StrEnum):
    """Who may do an Action; the owner is the Repl's."""

    ANYONE = "anyone"
    USER = "user"
    OWNER = "owner"
    ADMIN = "admin"


RULES: Mapping[Action, Who] = {
    Action.VISIT: Who.ANYONE,
    Action.LIST: Who.USER,
    Action.CREATE: Who.USER,
    Action.ACCOUNT: Who.USER,
    Action.ADMINISTER: Who.ADMIN,
    Action.OPEN: Who.OWNER,
    Action.WRITE: Who.OWNER,
    Action.START: Who.OWNER,
    Action.STOP: Who.OWNER,
    Action.EXTEND: Who.OWNER,
    Action.RENAME: Who.OWNER,
    Action.FORK: Who.OWNER,
    Action.DELETE: Who.OWNER,
    Action.PREVIEW: Who.OWNER,
}


BY_BROWSER = frozenset({Action.ACCOUNT, Action.ADMINISTER})  # not by token: who finds one gets no further with it


class SignInNeeded(DevexError):
    def __init__(self) -> None:
        super().__init__("sign_in", "You are not signed in.", "Sign in and try again.", status=401)


class Forbidden(DevexError):
    def __init__(self) -> None:
        super().__init__("forbidden", "Only an administrator may do this.", "Ask an administrator.", status=403)


class NotByToken(DevexError):
    def __init__(self) -> None:
        super().__init__("forbidden", "A token may not do this.", "Sign in with a browser.", status=403)


@dataclass(frozen=True, slots=True)
class Access:
    """What `allowed` gives a route: who asks, and the Repl the path names (None when it names none)."""

    actor: Actor
    repl: Repl | None = None

    @property
    def the_repl(self) -> Repl:
        """For routes whose path names one."""
        if self.repl is None:
            raise NoSuchRepl
        return self.repl


def authorize(actor: Actor, action: Action, repl: Repl | None = None) -> None:
    """Raises SignInNeeded, NotByToken, Forbidden or NoSuchRepl when `actor` may not do `action` (to `repl`).

    NoSuchRepl also for what belongs to somebody else: whether it exists is theirs to know.
    """
    who = RULES[action]
    if who is Who.ANYONE:
        return
    if not actor.signed_in:
        raise SignInNeeded
    if actor.by_token and action in BY_BROWSER:
        raise NotByToken
    if who is Who.OWNER and (repl is None or repl.owner_id != actor.user_id):
        raise NoSuchRepl
    if who is Who.ADMIN and not actor.is_admin:
        raise Forbidden


async def actor_of(services: "Services", connection: HTTPConnection) -> Actor:
    """Who sends this request or opens this socket; NOBODY without a session or token that is still good."""
    if (token := bearer_token(connection.scope["headers"])) is not None:
        address = connection.client.host if connection.client else ""
        return await services.accounts.bearing(token, network_of(address))
    return await services.accounts.sessions.current(session_token(connection, https=services.settings.https))


def found_actor(connection: HTTPConnection) -> Actor:
    """Who sent this request, as `allowed` found before its route was called; NOBODY when that was not asked."""
    actor: Actor = getattr(connection.state, "actor", NOBODY)
    return actor


async def grant(services: "Services", actor: Actor, action: Action, repl_id: str | None = None) -> Access:
    """Authorise `actor` for the Repl of this id, or for what is about none. Raises what `authorize` raises."""
    if repl_id is None:
        authorize(actor, action)
        return Access(actor)
    if RULES[action] is not Who.ANYONE and not actor.signed_in:
        raise SignInNeeded  # before looking: nobody learns what exists
    if not _REPL_ID.fullmatch(repl_id):
        raise NoSuchRepl  # the database refuses to look for some texts
    repl = await services.orchestrator.get(repl_id)
    authorize(actor, action, repl)
    return Access(actor, repl)


async def recheck(services: "Services", actor: Actor, action: Action, repl_id: str | None = None) -> Access:
    """Authorise again for a page that has been open: is the session still good, and does the right still stand?"""
    return await grant(services, await services.accounts.sessions.still(actor), action, repl_id)


class Allowed:
    """A route's declaration; FastAPI calls it before the route."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, connection: HTTPConnection) -> Access:
        services: Services = connection.app.state.services
        actor = connection.state.actor = await actor_of(services, connection)
        repl_id = connection.path_params.get("repl_id")
        if actor.signed_in and (slug := connection.path_params.get("slug")) is not None:
            repl = await services.orchestrator.get_by_slug(slug)
            repl_id = repl.id if repl else ""
        return await grant(services, actor, self.action, repl_id)


def allowed(action: Action) -> Any:
    """Declares what a route does; gives it an Access."""
    return Depends(Allowed(action))


def declared_action(route: APIRoute) -> Action | None:
    """What a route says it does; None when it says nothing."""
    calls = (dependency.call for dependency in route.dependant.dependencies)
    return next((call.action for call in calls if isinstance(call, Allowed)), None)


def every_route(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """Routes with those of included routers, which FastAPI keeps apart."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from every_route(included.routes)
        else:
            yield route


def assert_routes_guarded(routes: Iterable[BaseRoute], *, public: tuple[str, ...] = ()) -> None:
    """Raises RuntimeError when a route declares no Action, naming it. `public` are prefixes of static files and sockets
    that show nothing of anybody.
    """
    for route in every_route(routes):
        path = str(getattr(route, "path", route))
        if any(path.startswith(prefix) for prefix in public):
            continue
        if not isinstance(route, APIRoute) or declared_action(route) is None:
            raise RuntimeError(f"The route {path} declares no Action: see app/access.py.")
