"""Browsers that are signed in, and tokens of scripts. Every end is told to `on_ended`, so that open pages and sockets
close.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.access import NOBODY, Actor, Role, SignInNeeded
from app.accounts.tokens import is_plausible, new_token, token_id
from app.storage.models import Session, User
from orchestrator.clock import Clock
from runner.errors import DevexError

SEEN_RESOLUTION = timedelta(hours=1)  # a session is not written for every request
SESSIONS_MOST = 50  # of one user; the longest unused are signed out
SESSION_ID = re.compile(r"[0-9a-f]{64}")
BROWSER_MOST_CHARACTERS = 200  # what its column holds
TOKEN_PREFIX = "devex_"  # noqa: S105  # so that who finds one in a file knows what it is
TOKENS_MOST = 20  # of one user: one for each script and machine, and few enough to look through
TOKEN_DAYS, TOKEN_MOST_DAYS = 90, 365  # a forgotten one ends by itself
TOKEN_NAME_MOST_CHARACTERS = 60

log = structlog.get_logger("devex.accounts")


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
class OpenToken:
    """A token of a script, for the account page."""

    id: str
    name: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


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
        return await self._actor(token_id(token), is_token=False)

    async def bearing(self, token: str) -> Actor:
        """Who a script's token stands for; NOBODY when it is not, or no longer, good."""
        if not is_plausible(token):
            return NOBODY
        return await self._actor(token_id(token), is_token=True)

    async def still(self, actor: Actor) -> Actor:
        """The actor as it is now; NOBODY once the session has ended."""
        return await self._actor(actor.session_id) if actor.session_id else NOBODY

    async def good(self, session_ids: Collection[str]) -> set[str]:
        """Those of `session_ids` that are still signed in."""
        good = Session.filter(id__in=list(session_ids), expires_at__gt=self._clock.now(), user__disabled_at=None)
        return {str(session_id) for session_id in await good.values_list("id", flat=True)}

    async def of(self, actor: Actor) -> list[OpenSession]:
        """The user's, last seen first."""
        now = self._clock.now()
        mine = Session.filter(user_id=actor.user_id, expires_at__gt=now, is_token=False).order_by("-seen_at")
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
        kept = Session.filter(user_id=user.id, is_token=False).order_by("-seen_at")
        if old := await kept.offset(SESSIONS_MOST).limit(SESSIONS_MOST).values_list("id", flat=True):
            await self._end(Session.filter(id__in=list(old)))
        return SignedIn(Actor(user.id, user.name, Role(user.role), session_id), token)

    async def tokens(self, actor: Actor) -> list[OpenToken]:
        """The user's, the newest first."""
        mine = Session.filter(user_id=actor.user_id, expires_at__gt=self._clock.now(), is_token=True)
        rows = await mine.order_by("-created_at")
        return [OpenToken(row.id, row.browser, row.created_at, row.seen_at, row.expires_at) for row in rows]

    async def new_token(
        self, user_id: str, name: str, days: int = TOKEN_DAYS, *, session_id: str = ""
    ) -> tuple[OpenToken, str]:
        """-> (as it is listed, what the script holds: it is kept nowhere). `session_id`: of who asks. DevexError."""
        name = _printable(name).strip()
        if not 1 <= len(name) <= TOKEN_NAME_MOST_CHARACTERS:
            message = f"A token's name is 1 to {TOKEN_NAME_MOST_CHARACTERS} characters."
            raise DevexError("token_name", message, "Say what it is for.", status=422)
        if not 1 <= days <= TOKEN_MOST_DAYS:
            message = f"A token is good for 1 to {TOKEN_MOST_DAYS} days."
            raise DevexError("token_days", message, "Choose a number between.", status=422)
        now = self._clock.now()
        if await Session.filter(user_id=user_id, expires_at__gt=now, is_token=True).count() >= TOKENS_MOST:
            message = f"You have {TOKENS_MOST} tokens already."
            raise DevexError("too_many_tokens", message, "Revoke one that nothing uses.", status=409)
        token = TOKEN_PREFIX + new_token()
        made = OpenToken(token_id(token), name, now, now, now + timedelta(days=days))
        await Session.create(
            id=made.id, user_id=user_id, created_at=now, seen_at=now, expires_at=made.expires_at, browser=name,
            is_token=True,
        )  # fmt: skip
        if session_id and not await self.good([session_id]):  # what ended all meanwhile may not have seen this one
            await self._end(Session.filter(id=made.id))
            raise SignInNeeded
        log.info("token made", user=user_id, token=made.id[:8], name=name, days=days)
        return made, token

    async def sign_out(self, actor: Actor) -> None:
        await self.end(actor, actor.session_id)

    async def end(self, actor: Actor, session_id: str) -> None:
        """One of the actor's own; one that does not exist is no error."""
        if SESSION_ID.fullmatch(session_id):  # the database refuses to look for some texts
            await self._end(Session.filter(id=session_id, user_id=actor.user_id))

    async def end_all(self, user_id: str) -> None:
        while await self._end(Session.filter(user_id=user_id)):
            pass  # with what was begun before the last of them ended

    async def forget_expired(self) -> None:
        await Session.filter(expires_at__lte=self._clock.now()).delete()

    async def _actor(self, session_id: str, **kind: bool) -> Actor:
        now = self._clock.now()
        found = Session.filter(id=session_id, expires_at__gt=now, user__disabled_at=None, **kind)
        session = await found.select_related("user").first()
        if session is None:
            return NOBODY
        if now - session.seen_at >= SEEN_RESOLUTION:
            lasts = {} if session.is_token else {"expires_at": now + self._lasts}
            await Session.filter(id=session_id).update(seen_at=now, **lasts)
        user = session.user
        return Actor(user.id, user.name, Role(user.role), session.id, by_token=session.is_token)

    async def _end(self, sessions) -> bool:  # type: ignore[no-untyped-def]  # the ORM's query type is private
        """Whether there were any."""
        ended = [str(session_id) for session_id in await sessions.values_list("id", flat=True)]
        for session_id in await sessions.filter(is_token=True).values_list("id", flat=True):
            log.info("token revoked", token=str(session_id)[:8])
        await Session.filter(id__in=ended).delete()
        self.on_ended(ended)
        return bool(ended)


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
