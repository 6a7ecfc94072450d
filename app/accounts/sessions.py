"""Browsers that are signed in. Every end is told to `on_ended`, so that open pages and sockets close."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.access import NOBODY, Actor, Role
from app.accounts.tokens import is_plausible, new_token, token_id
from app.storage.models import Session, User
from orchestrator.clock import Clock

SEEN_RESOLUTION = timedelta(hours=1)  # a session is not written for every request
SESSIONS_MOST = 50  # of one user; the longest unused are signed out
SESSION_ID = re.compile(r"[0-9a-f]{64}")
BROWSER_MOST_CHARACTERS = 200  # what its column holds


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


class Sessions:
    """Needs an open database. `on_ended` gets the ids of sessions just ended."""

    def __init__(self, clock: Clock, lasts: timedelta) -> None:
        self.on_ended: Callable[[Collection[str]], None] = lambda session_ids: None
        self._clock = clock
        self._lasts = lasts

    async def current(self, token: str | None) -> Actor:
        """Who the cookie's token stands for; NOBODY when it is not, or no longer, good."""
        if not is_plausible(token):
            return NOBODY
        return await self._actor(token_id(token))

    async def still(self, actor: Actor) -> Actor:
        """The actor as it is now; NOBODY once the session has ended."""
        return await self._actor(actor.session_id) if actor.session_id else NOBODY

    async def good(self, session_ids: Collection[str]) -> set[str]:
        """Those of `session_ids` that are still signed in."""
        good = Session.filter(id__in=list(session_ids), expires_at__gt=self._clock.now(), user__disabled_at=None)
        return {str(session_id) for session_id in await good.values_list("id", flat=True)}

    async def of(self, actor: Actor) -> list[OpenSession]:
        """The user's, last seen first."""
        mine = Session.filter(user_id=actor.user_id, expires_at__gt=self._clock.now()).order_by("-seen_at")
        return [OpenSession(row.id, row.browser, row.created_at, row.seen_at) for row in await mine]

    async def begin(self, user: User, browser: str) -> SignedIn:
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

    async def sign_out(self, actor: Actor) -> None:
        await self.end(actor, actor.session_id)

    async def end(self, actor: Actor, session_id: str) -> None:
        """One of the actor's own; one that does not exist is no error."""
        if SESSION_ID.fullmatch(session_id):  # the database refuses to look for some texts
            await self._end(Session.filter(id=session_id, user_id=actor.user_id))

    async def end_all(self, user_id: str) -> None:
        await self._end(Session.filter(user_id=user_id))

    async def forget_expired(self) -> None:
        await Session.filter(expires_at__lte=self._clock.now()).delete()

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

    async def _end(self, sessions) -> None:  # type: ignore[no-untyped-def]  # the ORM's query type is private
        ended = [str(session_id) for session_id in await sessions.values_list("id", flat=True)]
        await Session.filter(id__in=ended).delete()
        self.on_ended(ended)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
