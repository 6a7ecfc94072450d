"""Who may do what: one table, one function, one dependency that every route declares.

An API route takes `access: Annotated[Access, allowed(Action.STOP)]`; a page declares
`@ui.page("/repl/{repl_id}", dependencies=[allowed(Action.OPEN)])`, or takes `access` as a parameter as well. A path
parameter `repl_id`, or `slug`, names the Repl the action is about; what one is to it, a ReplRole, is looked up in
app/members.py. A route that declares nothing stops the start of the server. Who is not signed in is refused with 401,
which for a page means: sent to /sign-in?then=….
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

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
from runner.viewer import ReadOnly

if TYPE_CHECKING:
    from app.services import Services

_REPL_ID = re.compile(r"[a-z0-9]{1,32}")


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class ReplRole(StrEnum):
    """What somebody is to one REPL."""

    VIEWER = "viewer"  # looks: at files, terminals, output, versions
    EDITOR = "editor"  # types, runs and edits, too
    OWNER = "owner"

    def may(self, action: "Action") -> bool:
        """With a Repl to which one is this."""
        needed = RULES[action]
        return isinstance(needed, ReplRole) and _ASCENDING.index(self) >= _ASCENDING.index(needed)


_ASCENDING = tuple(ReplRole)  # each may do what those before may

MemberRole = Literal[ReplRole.EDITOR, ReplRole.VIEWER]  # that an owner gives


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
    PREVIEW = "preview"  # the ports of its programs, which obey whoever reaches them
    SHARE = "share"  # say who is a member
    LEAVE = "leave"  # no longer be one


class Who(StrEnum):
    """Who may do what is about no REPL; Role is what an account has."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"


# A ReplRole: at least this, to the Repl that the path names. Who: it is about none.
RULES: Mapping[Action, Who | ReplRole] = {
    Action.VISIT: Who.ANYONE,
    Action.LIST: Who.USER,
    Action.CREATE: Who.USER,
    Action.ACCOUNT: Who.USER,
    Action.ADMINISTER: Who.ADMIN,
    Action.OPEN: ReplRole.VIEWER,
    Action.WRITE: ReplRole.EDITOR,
    Action.START: ReplRole.EDITOR,
    Action.STOP: ReplRole.EDITOR,
    Action.EXTEND: ReplRole.EDITOR,
    Action.RENAME: ReplRole.OWNER,
    Action.FORK: ReplRole.VIEWER,
    Action.DELETE: ReplRole.OWNER,
    Action.PREVIEW: ReplRole.EDITOR,
    Action.SHARE: ReplRole.OWNER,
    Action.LEAVE: ReplRole.VIEWER,
}


BY_BROWSER = frozenset(  # not by token: who finds one gets no further with it
    {Action.ACCOUNT, Action.ADMINISTER, Action.SHARE, Action.LEAVE}
)


class SignInNeeded(DevexError):
    def __init__(self) -> None:
        super().__init__("sign_in", "You are not signed in.", "Sign in and try again.", status=401)


class Forbidden(DevexError):
    def __init__(self) -> None:
        super().__init__("forbidden", "Only an administrator may do this.", "Ask an administrator.", status=403)


class NotByToken(DevexError):
    def __init__(self) -> None:
        super().__init__("forbidden", "A token may not do this.", "Sign in with a browser.", status=403)


class OnlyByOwner(DevexError):
    def __init__(self) -> None:
        super().__init__("forbidden", "Only the owner of this REPL may do this.", "Ask the owner.", status=403)


class RightsChanged(DevexError):
    """While something was open."""

    def __init__(self) -> None:
        message = "What you may do with this REPL has changed."
        super().__init__("rights_changed", message, "Reload the page.", status=403)


class Standing(NamedTuple):
    """With which session, and as what to which Repl, something was opened: it is closed when either no longer holds.
    `role` is None where it is about no Repl.
    """

    session_id: str
    user_id: str
    repl_id: str = ""
    role: ReplRole | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What `allowed` gives a route: who asks, the Repl the path names (None when it names none), and what they are to
    it (None: nothing).
    """

    actor: Actor
    repl: Repl | None = None
    role: ReplRole | None = None

    @property
    def can_write(self) -> bool:
        return self.role is not None and self.role.may(Action.WRITE)

    @property
    def standing(self) -> Standing:
        return Standing(self.actor.session_id, self.actor.user_id, self.repl.id if self.repl else "", self.role)

    @property
    def the_repl(self) -> Repl:
        """For routes whose path names one."""
        if self.repl is None:
            raise NoSuchRepl
        return self.repl

    @property
    def the_role(self) -> ReplRole:
        """What who asks is to the Repl, for routes whose path names one."""
        if self.role is None:
            raise NoSuchRepl
        return self.role


def authorize(access: Access, action: Action) -> None:
    """Raises SignInNeeded, NotByToken, Forbidden, ReadOnly, OnlyByOwner or NoSuchRepl when it may not be done.

    NoSuchRepl for what somebody is nothing to: whether it exists is others' to know.
    """
    actor, needed = access.actor, RULES[action]
    if needed is Who.ANYONE:
        return
    if not actor.signed_in:
        raise SignInNeeded
    if actor.by_token and action in BY_BROWSER:
        raise NotByToken
    if isinstance(needed, ReplRole):
        if access.repl is None or access.role is None:
            raise NoSuchRepl
        if not access.role.may(action):
            raise OnlyByOwner if needed is ReplRole.OWNER else ReadOnly
    if needed is Who.ADMIN and not actor.is_admin:
        raise Forbidden


async def actor_of(services: "Services", connection: HTTPConnection) -> Actor:
    """Who sends this request or opens this socket; NOBODY without a session or token that is still good."""
    if (token := bearer_token(connection.scope["headers"])) is not None:
        address = connection.client.host if connection.client else ""
        return await services.accounts.bearing(token, network_of(address))
    return await services.accounts.sessions.current(session_token(connection, https=services.settings.https))


def found_access(connection: HTTPConnection) -> Access:
    """What this request was granted, before its route was called; to nobody when nothing was asked."""
    access: Access = getattr(connection.state, "access", Access(NOBODY))
    return access


async def grant(services: "Services", actor: Actor, action: Action, repl_id: str | None = None) -> Access:
    """Authorise `actor` for the Repl of this id, or for what is about none. Raises what `authorize` raises."""
    if repl_id is None:
        access = Access(actor)
        authorize(access, action)
        return access
    if RULES[action] is not Who.ANYONE and not actor.signed_in:
        raise SignInNeeded  # before looking: nobody learns what exists
    if not _REPL_ID.fullmatch(repl_id):
        raise NoSuchRepl  # the database refuses to look for some texts
    repl = await services.orchestrator.get(repl_id)
    access = Access(actor, repl, await services.members.role_of(actor.user_id, repl))
    authorize(access, action)
    return access


async def recheck(services: "Services", actor: Actor, action: Action, repl_id: str | None = None) -> Access:
    """Authorise again for a page that has been open: is the session still good, and does the right still stand?"""
    return await grant(services, await services.accounts.sessions.still(actor), action, repl_id)


class Allowed:
    """A route's declaration; FastAPI calls it before the route."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, connection: HTTPConnection) -> Access:
        services: Services = connection.app.state.services
        actor = await actor_of(services, connection)
        repl_id = connection.path_params.get("repl_id")
        if actor.signed_in and (slug := connection.path_params.get("slug")) is not None:
            repl = await services.orchestrator.get_by_slug(slug)
            repl_id = repl.id if repl else ""
        access = connection.state.access = await grant(services, actor, self.action, repl_id)
        return access


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
