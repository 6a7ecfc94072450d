"""Signing up, in and out. Every change of a session is told to `on_ended`, so that open pages and sockets close."""

import re
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from app.access import NOBODY, Actor, Role, SignInNeeded
from app.accounts.attempts import Attempts
from app.accounts.passwords import Passwords
from app.accounts.tokens import is_plausible, new_token, token_id
from app.settings import SignUp
from app.storage.models import Link, Session, User
from orchestrator.clock import Clock
from orchestrator.names import new_id
from runner.errors import DevexError

INVITE_LASTS = timedelta(days=7)  # long enough for a mail to be read
SETUP_LASTS = timedelta(days=1)  # it makes an administrator; a restart makes another one
SEEN_RESOLUTION = timedelta(hours=1)  # a session is not written for every request
SESSIONS_MOST = 50  # of one user; the longest unused are signed out
WINDOW_S = 900.0  # soon over for who mistyped; forty guesses an hour find no password
TRIES_BY_ACCOUNT_AND_ADDRESS = 10  # more than anybody mistypes
TRIES_BY_ADDRESS = 50  # an office behind one address
TRIES_BY_ACCOUNT = 200  # many addresses guess at one account: slow them down before it can be locked by anybody
SESSION_ID = re.compile(r"[0-9a-f]{64}")
USER_ID = re.compile(r"[a-z0-9]{1,32}")
NAME = re.compile(r"[^\W_][\w.-]{0,39}")
BROWSER_MOST_CHARACTERS = 200  # what its column holds


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from: the address is limited, the browser is shown on the account page."""

    address: str = ""
    browser: str = ""


UNKNOWN = Visitor()


@dataclass(frozen=True, slots=True)
class SignedIn:
    """`token` goes into the cookie and nowhere else."""

    actor: Actor
    token: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A browser that is signed in, for the account page."""

    id: str
    browser: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user, for the administrator's page."""

    id: str
    name: str
    role: Role
    created_at: datetime
    disabled: bool


class Accounts:
    """Needs an open database; what is refused raises DevexError. `on_ended` gets the ids of sessions just ended."""

    def __init__(self, clock: Clock, *, sign_up: SignUp, session_days: int) -> None:
        self.sign_up_mode = sign_up
        self.on_ended: Callable[[Collection[str]], None] = lambda session_ids: None
        self._clock = clock
        self._lasts = timedelta(days=session_days)
        self._passwords = Passwords()
        self._by_both = Attempts(clock, most=TRIES_BY_ACCOUNT_AND_ADDRESS, window_s=WINDOW_S)
        self._by_address = Attempts(clock, most=TRIES_BY_ADDRESS, window_s=WINDOW_S)
        self._by_account = Attempts(clock, most=TRIES_BY_ACCOUNT, window_s=WINDOW_S)

    # Making accounts

    async def sign_up(self, name: str, password: str, *, invite: str = "", visitor: Visitor = UNKNOWN) -> SignedIn:
        """A new user; `invite` is the token of an invitation, which works once."""
        if self.sign_up_mode == "closed":
            raise DevexError("closed", "New accounts are not given here.", "Ask an administrator for one.", status=403)
        link = ("invite", invite) if self.sign_up_mode == "invite" else None
        return await self._new_user(name, password, Role.USER, link, visitor)

    async def set_up(self, token: str, name: str, password: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        """The holder of the set-up link becomes an administrator. A link works once."""
        return await self._new_user(name, password, Role.ADMIN, ("setup", token), visitor)

    async def invite(self) -> str:
        """The token of a new invitation, for one account."""
        return await self._new_link("invite", INVITE_LASTS)

    async def setup_link(self) -> str:
        """The token of a new set-up link; earlier ones no longer work."""
        await Link.filter(kind="setup").delete()
        return await self._new_link("setup", SETUP_LASTS)

    async def nobody_yet(self) -> bool:
        return not await User.exists()

    # Signing in and out

    async def sign_in(self, name: str, password: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        key = _key(name)
        self._check_attempts(key, visitor.address)
        self._count_attempt(key, visitor.address)  # before the slow part: guesses sent at once count as well
        user = await User.get_or_none(key=key)
        good = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not good or user.disabled_at is not None:
            raise DevexError("credentials", "The name or the password is wrong.", "Try again.", status=401)
        self._forgive_attempt(key, visitor.address)
        self._by_both.forget(f"{key} {visitor.address}")
        return await self._new_session(user, visitor.browser)

    async def sign_out(self, actor: Actor) -> None:
        await self.end_session(actor, actor.session_id)

    async def change_password(self, actor: Actor, old: str, new: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        """Ends every session of the user and begins a new one."""
        user = await self._user(actor)
        self._check_attempts(user.key, visitor.address)
        self._count_attempt(user.key, visitor.address)
        if not await self._passwords.verify(old, user.password_hash):
            raise DevexError("credentials", "The present password is wrong.", "Try again.", status=403)
        self._forgive_attempt(user.key, visitor.address)
        user.password_hash = await self._passwords.hash(new)
        await user.save(update_fields=["password_hash"])
        browsers = {session.id: session.browser for session in await Session.filter(user_id=user.id)}
        await self._end(Session.filter(user_id=user.id))
        return await self._new_session(user, browsers.get(actor.session_id, ""))

    # Sessions

    async def current(self, token: str | None) -> Actor:
        """Who the cookie's token stands for; NOBODY when it is not, or no longer, good."""
        if not is_plausible(token):
            return NOBODY
        return await self._actor(token_id(token))

    async def still(self, actor: Actor) -> Actor:
        """The actor as it is now; NOBODY once the session has ended."""
        return await self._actor(actor.session_id) if actor.session_id else NOBODY

    async def good_sessions(self, session_ids: Collection[str]) -> set[str]:
        """Those of `session_ids` that are still signed in."""
        good = Session.filter(id__in=list(session_ids), expires_at__gt=self._clock.now(), user__disabled_at=None)
        return {str(session_id) for session_id in await good.values_list("id", flat=True)}

    async def sessions(self, actor: Actor) -> list[OpenSession]:
        """The user's, last seen first."""
        mine = Session.filter(user_id=actor.user_id, expires_at__gt=self._clock.now()).order_by("-seen_at")
        return [OpenSession(row.id, row.browser, row.created_at, row.seen_at) for row in await mine]

    async def end_session(self, actor: Actor, session_id: str) -> None:
        """One of the actor's own; one that does not exist is no error."""
        if SESSION_ID.fullmatch(session_id):  # the database refuses to look for some texts
            await self._end(Session.filter(id=session_id, user_id=actor.user_id))

    async def forget_expired(self) -> None:
        await Session.filter(expires_at__lte=self._clock.now()).delete()
        await Link.filter(expires_at__lte=self._clock.now()).delete()

    # Administration

    async def users(self) -> list[UserInfo]:
        """All, by name."""
        rows = await User.all().order_by("name")
        return [UserInfo(row.id, row.name, Role(row.role), row.created_at, row.disabled_at is not None) for row in rows]

    async def named(self, name: str) -> UserInfo:
        """Raises DevexError `no_user`."""
        key = _key(name)
        found = next((user for user in await self.users() if key and _key(user.name) == key), None)
        if found is None:
            raise DevexError("no_user", f"There is no user “{name}”.", "Give the name of a user.", status=404)
        return found

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """A disabled user is signed out everywhere and cannot sign in."""
        await self._check_changeable(user_id)
        await User.filter(id=user_id).update(disabled_at=self._clock.now() if disabled else None)
        if disabled:
            await self._end(Session.filter(user_id=user_id))

    async def set_role(self, user_id: str, role: Role) -> None:
        """Ends the user's sessions: rights change with the next one."""
        await self._check_changeable(user_id)
        await User.filter(id=user_id).update(role=role)
        await self._end(Session.filter(user_id=user_id))

    # Parts

    async def _actor(self, session_id: str) -> Actor:
        now = self._clock.now()
        found = Session.filter(id=session_id, expires_at__gt=now, user__disabled_at=None)
        session = await found.select_related("user").first()
        if session is None:
            return NOBODY
        if now - session.seen_at >= SEEN_RESOLUTION:
            await Session.filter(id=session_id).update(seen_at=now, expires_at=now + self._lasts)
        user = session.user
        return Actor(user.id, user.name, Role(user.role), session.id)

    async def _new_user(
        self, name: str, password: str, role: Role, link: tuple[str, str] | None, visitor: Visitor
    ) -> SignedIn:
        """`link` is kind and token of what must be claimed for it."""
        name = _parse_name(name)
        self._by_address.check(visitor.address)
        self._by_address.count(visitor.address)
        if link is not None:
            await self._check_link(*link)  # before the slow hash; it is claimed below
        password_hash = await self._passwords.hash(password)
        now = self._clock.now()
        try:
            async with in_transaction():
                if link is not None and not await self._usable_link(*link).update(used_at=now):
                    raise _bad_link()
                user = await User.create(
                    id=new_id(), name=name, key=_key(name), password_hash=password_hash, role=role, created_at=now
                )
        except IntegrityError:
            message = "Somebody has this name already."
            raise DevexError("name_taken", message, "Choose another one.", status=409) from None
        return await self._new_session(user, visitor.browser)

    def _usable_link(self, kind: str, token: str):  # type: ignore[no-untyped-def]  # the ORM's query type is private
        return Link.filter(id=token_id(token), kind=kind, used_at=None, expires_at__gt=self._clock.now())

    async def _check_link(self, kind: str, token: str) -> None:
        if not is_plausible(token) or not await self._usable_link(kind, token).exists():
            raise _bad_link()

    async def _new_link(self, kind: str, lasts: timedelta) -> str:
        token, now = new_token(), self._clock.now()
        await Link.create(id=token_id(token), kind=kind, created_at=now, expires_at=now + lasts)
        return token

    async def _new_session(self, user: User, browser: str) -> SignedIn:
        token, now = new_token(), self._clock.now()
        session_id = token_id(token)
        await Session.create(
            id=session_id,
            user=user,
            created_at=now,
            seen_at=now,
            expires_at=now + self._lasts,
            browser=_printable(browser)[:BROWSER_MOST_CHARACTERS],
        )
        kept = Session.filter(user_id=user.id).order_by("-seen_at")
        if old := await kept.offset(SESSIONS_MOST).limit(SESSIONS_MOST).values_list("id", flat=True):
            await self._end(Session.filter(id__in=list(old)))
        return SignedIn(Actor(user.id, user.name, Role(user.role), session_id), token)

    async def _end(self, sessions) -> None:  # type: ignore[no-untyped-def]  # the ORM's query type is private
        ended = [str(session_id) for session_id in await sessions.values_list("id", flat=True)]
        await Session.filter(id__in=ended).delete()
        self.on_ended(ended)

    async def _user(self, actor: Actor) -> User:
        user = await User.get_or_none(id=actor.user_id, disabled_at=None)
        if user is None:
            raise SignInNeeded
        return user

    async def _check_changeable(self, user_id: str) -> None:
        """The last administrator stays one, or nobody could ever change anything again."""
        user = await User.get_or_none(id=user_id) if USER_ID.fullmatch(user_id) else None
        if user is None:
            raise DevexError("no_user", "There is no such user.", "Reload the page.", status=404)
        others = User.filter(role=Role.ADMIN, disabled_at=None).exclude(id=user_id)
        if user.role == Role.ADMIN and not await others.exists():
            message = "This is the only administrator."
            raise DevexError("last_admin", message, "Make somebody else an administrator first.", status=409)

    def _check_attempts(self, key: str, address: str) -> None:
        self._by_both.check(f"{key} {address}")
        self._by_address.check(address)
        self._by_account.check(key)

    def _count_attempt(self, key: str, address: str) -> None:
        self._by_both.count(f"{key} {address}")
        self._by_address.count(address)
        self._by_account.count(key)

    def _forgive_attempt(self, key: str, address: str) -> None:
        """Take back what `_count_attempt` counted: it was no guess."""
        self._by_both.forgive(f"{key} {address}")
        self._by_address.forgive(address)
        self._by_account.forgive(key)


def _bad_link() -> DevexError:
    message = "This link was used before, is too old, or was never given."
    return DevexError("bad_link", message, "Ask an administrator for a new one.", status=403)


def _parse_name(name: str) -> str:
    name = unicodedata.normalize("NFKC", name).strip()
    if not NAME.fullmatch(name):
        message = "A user name is 1 to 40 letters, digits, dots, dashes and underscores."
        raise DevexError("name", message, "Choose another name.", status=422)
    return name


def _key(name: str) -> str:
    """Names that look the same to a person compare equal; what can be no name is nobody's: databases refuse to look
    for some texts.
    """
    name = unicodedata.normalize("NFKC", name).strip()
    return unicodedata.normalize("NFKC", name.casefold())[:120] if NAME.fullmatch(name) else ""


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
