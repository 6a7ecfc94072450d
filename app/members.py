"""Whom the owner of a REPL has let into it, and what they are to it."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

import structlog
from tortoise.exceptions import IntegrityError

from app.access import MemberRole, ReplRole, Standing
from app.accounts.accounts import USER_ID
from app.accounts.attempts import WINDOW_S, Attempts
from app.accounts.names import key_of
from app.storage.models import MemberRow, User
from orchestrator.changes import Changes, Subscription
from orchestrator.clock import Clock
from orchestrator.domain import Repl
from orchestrator.registry import NoSuchRepl
from orchestrator.service import Orchestrator
from runner.errors import DevexError

MEMBERS_MOST = 50  # of one REPL: a class; each is a name in a list that its owner looks through
LET_IN_MOST = 200  # within WINDOW_S, by one owner, and changes of roles: each lays out the other's dashboards anew
UNKNOWN_MOST = 30  # names of nobody within WINDOW_S, by one owner: who guesses at names finds few
SHARED_MOST = 200  # that one person is shown, the newest: others fill this list

IN_USE = {"repl__deleted_at": None}  # what is in the trash is its owner's alone: Repl.in_trash, for the database

log = structlog.get_logger("devex.members")


@dataclass(frozen=True, slots=True)
class Member:
    user_id: str
    name: str
    role: MemberRole
    since: datetime


@dataclass(frozen=True, slots=True)
class Shared:
    """A REPL of somebody else, whose name is `owner`."""

    repl: Repl
    role: MemberRole
    owner: str


class Members:
    """Needs an open database. `on_changed(repl_id, user_id)` is called when somebody's role was given, changed or
    taken.
    """

    def __init__(self, clock: Clock) -> None:
        self.on_changed: Callable[[str, str], None] = lambda repl_id, user_id: None
        self._clock = clock
        self._let_in_by = Attempts(clock, most=LET_IN_MOST, window_s=WINDOW_S)
        self._unknown = Attempts(clock, most=UNKNOWN_MOST, window_s=WINDOW_S)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._changes = Changes[str](key=lambda user_id: user_id)

    def subscribe(self, user_id: str) -> Subscription[str]:
        """Says, by the user's id, that what is shared with them has changed, by this server, from now on."""
        return self._changes.subscribe(lambda changed: changed == user_id)

    async def role_of(self, user_id: str, repl: Repl) -> ReplRole | None:
        """What this user is to it. What its owner has put into the trash is theirs alone."""
        if repl.owner_id == user_id:
            return ReplRole.OWNER
        if repl.in_trash:
            return None
        row = await MemberRow.get_or_none(repl_id=repl.id, user_id=user_id)
        return _role_in(row) if row else None

    async def of(self, repl_id: str) -> list[Member]:
        """By name; without the owner."""
        rows = await MemberRow.filter(repl_id=repl_id).select_related("user")
        members = [Member(row.user_id, row.user.name, _role_in(row), row.created_at) for row in rows]
        return sorted(members, key=lambda member: key_of(member.name))

    async def shared_with(self, user_id: str, orchestrator: Orchestrator) -> list[Shared]:
        """The newest SHARED_MOST of them, last opened first."""
        mine = MemberRow.filter(user_id=user_id, **IN_USE).order_by("-created_at").limit(SHARED_MOST)
        roles = {row.repl_id: _role_in(row) for row in await mine}
        repls = await orchestrator.list_by_ids(roles)
        names = dict(await User.filter(id__in=list({repl.owner_id for repl in repls})).values_list("id", "name"))
        return [Shared(repl, roles[repl.id], names[repl.owner_id]) for repl in repls]

    async def let_in(self, repl: Repl, name: str, role: MemberRole) -> Member:
        """As an editor or a viewer, whatever they were before. Raises DevexError."""
        self._let_in_by.check(repl.owner_id)
        self._let_in_by.count(repl.owner_id)
        user = await self._named(name, by=repl.owner_id)
        if user.id == repl.owner_id:
            raise DevexError("owner", f"{user.name} owns this REPL.", "Name somebody else.", status=409)
        async with self._locks.setdefault(repl.id, asyncio.Lock()):  # of two servers one may let in one too many
            return await self._give(repl, user, role)

    async def _give(self, repl: Repl, user: User, role: MemberRole) -> Member:
        membership, now = MemberRow.filter(repl_id=repl.id, user_id=user.id), self._clock.now()
        before = await membership.first()
        if before is not None and before.role == role:
            return Member(user.id, user.name, role, before.created_at)
        if before is None:
            if await MemberRow.filter(repl_id=repl.id).count() >= MEMBERS_MOST:
                message = f"{MEMBERS_MOST} people are in this REPL already."
                raise DevexError("too_many_members", message, "Remove somebody first.", status=409)
            with suppress(IntegrityError):  # a second click was first, or the REPL is gone
                await MemberRow.create(repl_id=repl.id, user_id=user.id, role=role, created_at=now)
        await membership.update(role=role)
        row = await membership.first()
        if row is None:
            raise NoSuchRepl
        log.info("let in", repl_id=repl.id, user=user.id, role=role)
        self._tell(repl.id, user.id)
        return Member(user.id, user.name, role, row.created_at)

    async def remove(self, repl_id: str, user_id: str) -> None:
        """One who is no member is no error."""
        membership = MemberRow.filter(repl_id=repl_id, user_id=user_id)
        if USER_ID.fullmatch(user_id) and await membership.delete():  # the database refuses to look for some texts
            log.info("no longer a member", repl_id=repl_id, user=user_id)
            self._tell(repl_id, user_id)

    async def outdated(self, standings: Collection[Standing]) -> set[Standing]:
        """Those who are to a REPL no longer what they were, whoever changed that."""
        members = {one for one in standings if one.role in (ReplRole.VIEWER, ReplRole.EDITOR)}
        if not members:
            return set()
        ids = list({one.repl_id for one in members})
        now = {(row.repl_id, row.user_id): _role_in(row) for row in await MemberRow.filter(repl_id__in=ids, **IN_USE)}
        return {one for one in members if now.get((one.repl_id, one.user_id)) is not one.role}

    async def _named(self, name: str, *, by: str) -> User:
        """`by` whom it was named: who guesses is refused after a while. Raises DevexError."""
        self._unknown.check(by)
        self._unknown.count(by)  # before the database is asked: names sent at once count as well
        user = await User.get_or_none(key=key_of(name), disabled_at=None)
        if user is None:
            raise DevexError("no_user", f"There is no user “{name}”.", "Ask them for their user name.", status=404)
        self._unknown.forgive(by)
        return user

    def _tell(self, repl_id: str, user_id: str) -> None:
        self.on_changed(repl_id, user_id)
        self._changes.publish(user_id)


def _role_in(row: MemberRow) -> MemberRole:
    return ReplRole.EDITOR if row.role == ReplRole.EDITOR else ReplRole.VIEWER
