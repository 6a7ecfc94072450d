"""Who has an account: signing up and in, passwords, and what administrators do with users."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from tortoise.exceptions import IntegrityError
from tortoise.transactions import in_transaction

from app.access import Actor, Role, SignInNeeded
from app.accounts.attempts import TRIES_BY_ADDRESS, WINDOW_S, Attempts, Guesses
from app.accounts.links import Kind, Links
from app.accounts.names import key_of, parse_name
from app.accounts.passwords import Passwords
from app.accounts.sessions import Sessions, SignedIn
from app.setting_forms import SignUp
from app.storage.models import User
from orchestrator.clock import Clock
from orchestrator.names import new_id
from runner.errors import DevexError

USER_ID = re.compile(r"[a-z0-9]{1,32}")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request comes from: the address is limited, the browser is shown on the account page."""

    address: str = ""
    browser: str = ""


UNKNOWN = Visitor()


@dataclass(frozen=True, slots=True)
class UserInfo:
    """A user, for the administrator's page."""

    id: str
    name: str
    role: Role
    created_at: datetime
    disabled: bool


class WrongPassword(DevexError):
    def __init__(self) -> None:
        super().__init__("credentials", "The name or the password is wrong.", "Try again.", status=401)


class Accounts:
    """Needs an open database; what is refused raises DevexError."""

    def __init__(self, clock: Clock, *, sign_up: SignUp, session_days: int) -> None:
        self.sign_up_mode = sign_up
        self.sessions = Sessions(clock, timedelta(days=session_days))
        self._links = Links(clock)
        self._clock = clock
        self._passwords = Passwords()
        self._guesses = Guesses(clock)
        self._wrong_tokens = Attempts(clock, most=TRIES_BY_ADDRESS, window_s=WINDOW_S)

    # Making accounts

    async def sign_up(self, name: str, password: str, *, invite: str = "", visitor: Visitor = UNKNOWN) -> SignedIn:
        """A new user; `invite` is the token of an invitation, which works once."""
        if self.sign_up_mode == "closed":
            raise DevexError("closed", "New accounts are not given here.", "Ask an administrator for one.", status=403)
        link = (Kind.INVITE, invite) if self.sign_up_mode == "invite" else None
        return await self._new_user(name, password, Role.USER, link, visitor)

    async def set_up(self, token: str, name: str, password: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        """The holder of the set-up link becomes an administrator. A link works once."""
        return await self._new_user(name, password, Role.ADMIN, (Kind.SETUP, token), visitor)

    async def invite(self) -> str:
        """The token of a new invitation, for one account."""
        return await self._links.new(Kind.INVITE)

    async def setup_link(self) -> str:
        """The token of a new set-up link; earlier ones no longer work."""
        await self._links.revoke(Kind.SETUP)
        return await self._links.new(Kind.SETUP)

    async def nobody_yet(self) -> bool:
        return not await User.exists()

    # Signing in and out

    async def sign_in(self, name: str, password: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        key = key_of(name)
        self._guesses.check(key, visitor.address)
        self._guesses.count(key, visitor.address)  # before the slow part: guesses sent at once count as well
        user = await User.get_or_none(key=key)
        good = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not good or user.disabled_at is not None:
            raise WrongPassword
        self._guesses.was_right(key, visitor.address)
        new = await self.sessions.begin(user, visitor.browser)
        if not await User.exists(id=user.id, password_hash=user.password_hash, disabled_at=None):
            await self.sessions.sign_out(new.actor)  # what ended all sessions meanwhile may not have seen this one
            raise WrongPassword
        return new

    async def bearing(self, token: str, address: str) -> Actor:
        """Who the token of a script stands for; NOBODY when it is no good, and TooManyAttempts when too many were from
        there. Those that are good are never held up by others.
        """
        actor = await self.sessions.bearing(token)
        if not actor.signed_in:
            self._wrong_tokens.check(address)
            self._wrong_tokens.count(address)
        return actor

    async def change_password(self, actor: Actor, old: str, new: str, *, visitor: Visitor = UNKNOWN) -> SignedIn:
        """Ends every session and token of the user and begins a new session."""
        user = await self._user(actor)
        self._guesses.check(user.key, visitor.address)
        self._guesses.count(user.key, visitor.address)
        good = await self._passwords.verify(old, user.password_hash)
        new_hash = await self._passwords.hash(new) if good else ""
        as_it_was = User.filter(id=user.id, password_hash=user.password_hash)  # of two changes at once one is made
        if not good or not await as_it_was.update(password_hash=new_hash):
            raise DevexError("credentials", "The current password is wrong.", "Try again.", status=403)
        self._guesses.forgive(user.key, visitor.address)
        browsers = {session.id: session.browser for session in await self.sessions.of(actor)}
        await self.sessions.end_all(user.id)
        return await self.sessions.begin(user, browsers.get(actor.session_id, ""))

    async def forget_expired(self) -> None:
        await self.sessions.forget_expired()
        await self._links.forget_expired()

    # Administration

    async def users(self) -> list[UserInfo]:
        """All, by name."""
        rows = await User.all().order_by("name")
        return [_info_of(row) for row in rows]

    async def named(self, name: str) -> UserInfo:
        """Raises DevexError `no_user`."""
        found = await User.get_or_none(key=key_of(name))
        if found is None:
            raise DevexError("no_user", f"There is no user “{name}”.", "Give the name of a user.", status=404)
        return _info_of(found)

    async def set_disabled(self, user_id: str, disabled: bool) -> None:
        """A disabled user is signed out everywhere and cannot sign in."""
        async with in_transaction():
            await self._check_changeable(user_id)
            await User.filter(id=user_id).update(disabled_at=self._clock.now() if disabled else None)
        if disabled:
            await self.sessions.end_all(user_id)

    async def set_role(self, user_id: str, role: Role) -> None:
        """Ends the user's sessions: rights change with the next one."""
        async with in_transaction():
            await self._check_changeable(user_id)
            await User.filter(id=user_id).update(role=role)
        await self.sessions.end_all(user_id)

    # Parts

    async def _new_user(
        self, name: str, password: str, role: Role, link: tuple[Kind, str] | None, visitor: Visitor
    ) -> SignedIn:
        """`link` is kind and token of what must be claimed for it."""
        name = parse_name(name)
        self._guesses.count_of(visitor.address)
        if link is not None:
            await self._links.check(*link)  # before the slow hash; it is claimed below
        password_hash = await self._passwords.hash(password)
        now = self._clock.now()
        try:
            async with in_transaction():
                if link is not None:
                    await self._links.claim(*link)
                user = await User.create(
                    id=new_id(), name=name, key=key_of(name), password_hash=password_hash, role=role, created_at=now
                )
        except IntegrityError:
            message = "Somebody has this name already."
            raise DevexError("name_taken", message, "Choose another one.", status=409) from None
        return await self.sessions.begin(user, visitor.browser)

    async def _user(self, actor: Actor) -> User:
        user = await User.get_or_none(id=actor.user_id, disabled_at=None)
        if user is None:
            raise SignInNeeded
        return user

    async def _check_changeable(self, user_id: str) -> None:
        """The last administrator stays one, or nobody could ever change anything again.

        In a transaction, which keeps two of them from taking the office from each other at once.
        """
        admins = await User.filter(role=Role.ADMIN, disabled_at=None).order_by("id").select_for_update()
        user = await User.get_or_none(id=user_id) if USER_ID.fullmatch(user_id) else None
        if user is None:
            raise DevexError("no_user", "There is no such user.", "Reload the page.", status=404)
        if [one.id for one in admins] == [user_id]:
            message = "This is the only administrator."
            raise DevexError("last_admin", message, "Make somebody else an administrator first.", status=409)


def _info_of(user: User) -> UserInfo:
    return UserInfo(user.id, user.name, Role(user.role), user.created_at, user.disabled_at is not None)
