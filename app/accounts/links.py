"""What people are sent to get an account: tokens that work once, and the addresses that carry them."""

from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlencode

from app.accounts.tokens import is_plausible, new_token, token_id
from app.storage.models import Link
from orchestrator.clock import Clock
from runner.errors import DevexError


class Kind(StrEnum):
    INVITE = "invite"
    SETUP = "setup"

    @property
    def lasts(self) -> timedelta:
        return _LASTS[self]


_LASTS = {
    Kind.INVITE: timedelta(days=7),  # long enough for a mail to be read
    Kind.SETUP: timedelta(days=1),  # it makes an administrator; a restart makes another one
}


class BadLink(DevexError):
    def __init__(self) -> None:
        message = "This link was used before, is too old, or was never given."
        super().__init__("bad_link", message, "Ask an administrator for a new one.", status=403)


class Links:
    """Needs an open database."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def new(self, kind: Kind) -> str:
        """The token of a new one."""
        token, now = new_token(), self._clock.now()
        await Link.create(id=token_id(token), kind=kind, created_at=now, expires_at=now + kind.lasts)
        return token

    async def revoke(self, kind: Kind) -> None:
        await Link.filter(kind=kind).delete()

    async def check(self, kind: Kind, token: str) -> None:
        """Raises BadLink: it is not usable now."""
        if not is_plausible(token) or not await self._usable(kind, token).exists():
            raise BadLink

    async def claim(self, kind: Kind, token: str) -> None:
        """Of those who try at once one succeeds; raises BadLink for the others."""
        if not await self._usable(kind, token).update(used_at=self._clock.now()):
            raise BadLink

    async def forget_expired(self) -> None:
        await Link.filter(expires_at__lte=self._clock.now()).delete()

    def _usable(self, kind: Kind, token: str):  # type: ignore[no-untyped-def]  # the ORM's query type is private
        return Link.filter(id=token_id(token), kind=kind, used_at=None, expires_at__gt=self._clock.now())


def invitation_url(origin: str, token: str) -> str:
    """Where one person can sign up; `token` comes from `Accounts.invite`."""
    return f"{origin}/sign-up?{urlencode({'invite': token})}"


def setup_url(origin: str, token: str) -> str:
    """Where one person becomes an administrator; `token` comes from `Accounts.setup_link`."""
    return f"{origin}/setup?{urlencode({'token': token})}"
