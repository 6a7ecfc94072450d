"""Whom the owner of a REPL has let into it, and what they are to it."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from tortoise.exceptions import IntegrityError

from app.access import Part, Standing
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
UNKNOWN_MOST = 30  # names of nobody within WINDOW_S, by one owner: who guesses at names finds few
SHARED_MOST = 200  # that one person is shown, the newest: others fill this list

log = structlog.get_logger("devex.members")


@dataclass(frozen=True, slots=True)
class Member:
    user_id: str
    name: str
    part: Part
    since: datetime


@dataclass(frozen=True, slots=True)
class Shared:
    """A REPL of somebody else, whose name is `owner`."""

    repl: Repl
    part: Part
    owner: str


class Members:
    """Needs an open database. `on_changed(repl_id, user_id)` is called when somebody's part was given, changed or
    taken.
    """

    def __init__(self, clock: Clock) -> None:
        self.on_changed: Callable[[str, str], None] = lambda repl_id, user_id: None
        self._clock = clock
        self._unknown = Attempts(clock, most=UNKNOWN_MOST, window_s=WINDOW_S)
        self._changes = Changes[str](key=lambda user_id: user_id)

    def subscribe(self, user_id: str) -> Subscription[str]:
        """Says, by the user's id, that what is shared with them has changed, by this server, from now on."""
        return self._changes.subscribe(lambda changed: changed == user_id)

    async def part_of(self, user_id: str, repl: Repl) -> Part | None:
        """What this user is to it. What its owner has put into the trash is theirs alone."""
        if repl.owner_id == user_id:
            return Part.OWNER
        if repl.in_trash:
            return None
        row = await MemberRow.get_or_none(repl_id=repl.id, user_id=user_id)
        return _part(row.can_write) if row else None

    async def of(self, repl_id: str) -> list[Member]:
        """By name; without the owner."""
        rows = await MemberRow.filter(repl_id=repl_id).select_related("user")
        members = [Member(row.user_id, row.user.name, _part(row.can_write), row.created_at) for row in rows]
        return sorted(members, key=lambda member: key_of(member.name))

    async def shared_with(self, user_id: str, orchestrator: Orchestrator) -> list[Shared]:
        """The newest SHARED_MOST of them, last opened first."""
        mine = MemberRow.filter(user_id=user_id, repl__deleted_at=None).order_by("-created_at").limit(SHARED_MOST)
        parts = {row.repl_id: _part(row.can_write) for row in await mine}
        repls = await orchestrator.list_by_ids(parts)
        owners = await User.filter(id__in=list({repl.owner_id for repl in repls})).values_list("id", "name")
        names = dict(owners)
        return [Shared(repl, parts[repl.id], names[repl.owner_id]) for repl in repls if repl.owner_id in names]

    async def let_in(self, repl: Repl, name: str, part: Part) -> Member:
        """As an editor or a viewer, whichever they were before. Raises DevexError."""
        self._unknown.check(repl.owner_id)
        user = await User.get_or_none(key=key_of(name), disabled_at=None)
        if user is None:
            self._unknown.count(repl.owner_id)
            raise DevexError("no_user", f"There is no user “{name}”.", "Ask them for their user name.", status=404)
        if user.id == repl.owner_id:
            raise DevexError("owner", f"{user.name} owns this REPL.", "Name somebody else.", status=409)
        can_write, now = part is Part.EDITOR, self._clock.now()
        membership = MemberRow.filter(repl_id=repl.id, user_id=user.id)
        before = await membership.first()
        if before is not None and before.can_write is can_write:
            return Member(user.id, user.name, part, before.created_at)
        if before is None:
            if await MemberRow.filter(repl_id=repl.id).count() >= MEMBERS_MOST:
                message = f"{MEMBERS_MOST} people are in this REPL already."
                raise DevexError("too_many_members", message, "Remove somebody first.", status=409)
            with suppress(IntegrityError):  # a second click was first, or the REPL is gone
                await MemberRow.create(repl_id=repl.id, user_id=user.id, can_write=can_write, created_at=now)
        await membership.update(can_write=can_write)
        row = await membership.first()
        if row is None:
            raise NoSuchRepl
        log.info("let in", repl_id=repl.id, user=user.id, part=part)
        self._tell(repl.id, user.id)
        return Member(user.id, user.name, part, row.created_at)

    async def remove(self, repl_id: str, user_id: str) -> None:
        """One who is no member is no error."""
        membership = MemberRow.filter(repl_id=repl_id, user_id=user_id)
        if USER_ID.fullmatch(user_id) and await membership.delete():  # the database refuses to look for some texts
            log.info("no longer a member", repl_id=repl_id, user=user_id)
            self._tell(repl_id, user_id)

    async def outdated(self, standings: Collection[Standing]) -> set[Standing]:
        """Those who are to a REPL no longer what they were, whichever process did that."""
        members = {one for one in standings if one.part in (Part.VIEWER, Part.EDITOR)}
        if not members:
            return set()
        ids = list({one.repl_id for one in members})
        rows = await MemberRow.filter(repl_id__in=ids, repl__deleted_at=None).values_list(
            "repl_id", "user_id", "can_write"
        )
        now = {(repl_id, user_id): _part(can_write) for repl_id, user_id, can_write in rows}
        return {one for one in members if now.get((one.repl_id, one.user_id)) is not one.part}

    def _tell(self, repl_id: str, user_id: str) -> None:
        self.on_changed(repl_id, user_id)
        self._changes.publish(user_id)


def _part(can_write: bool) -> Part:
    return Part.EDITOR if can_write else Part.VIEWER
