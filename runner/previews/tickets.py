"""How a browser that is signed in at the application gets into the hosts of a REPL's ports. Pure, but for `Spent`.

A ticket (one use, one minute) is exchanged for a pass in a cookie of that one host. Both are sealed with a key that the
gateway has and, where it opens the hosts itself, the proxy of that incarnation: what one REPL's key sealed opens no
other's hosts, nor what an old epoch's sealed a new one's. A pass names its session, so that it ends with it.
"""

import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from runner.seals import seal, unseal

TICKET_LASTS_S: Final = 60  # between asking for the address and opening it
PASS_LASTS_S: Final = 12 * 3600  # a day's work; then the application is asked for another one
SPENT_MOST: Final = 1000  # of one REPL within TICKET_LASTS_S; whoever asks for more may use the first of them again

_TICKET: Final = b"devex preview ticket"
_PASS: Final = b"devex preview pass"


@dataclass(frozen=True, slots=True)
class Pass:
    """Good for one port of one REPL, while the session lasts."""

    slug: str
    port: int
    session_id: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """For `ports` of a REPL, one after the other; the last one is shown, at `path`."""

    slug: str
    ports: tuple[int, ...]
    session_id: str
    path: str = "/"
    number: str = field(default_factory=lambda: secrets.token_urlsafe(12))


def preview_key(key: bytes, slug: str) -> bytes:
    """What seals tickets and passes of a REPL, made of a key that is for other things too."""
    return hmac.digest(key, b"devex previews of " + slug.encode(), "sha256")


def seal_ticket(key: bytes, ticket: Ticket, now_s: float) -> str:
    """`now_s` in seconds since 1970, as everywhere here."""
    until_s = int(now_s + TICKET_LASTS_S)
    claims = [until_s, ticket.slug, ticket.ports, ticket.session_id, ticket.path, ticket.number]
    return seal(key, _TICKET, claims)


def unseal_ticket(key: bytes, token: str, now_s: float) -> Ticket | None:
    """None when the key did not seal it, or too long ago."""
    match unseal(key, _TICKET, token):
        case [int(until_s), str(slug), [*ports], str(session_id), str(path), str(number)] if now_s < until_s:
            return Ticket(slug, tuple(ports), session_id, path, number)
        case _:
            return None


def seal_pass(key: bytes, granted: Pass, now_s: float) -> str:
    """The value of a cookie."""
    return seal(key, _PASS, [int(now_s + PASS_LASTS_S), granted.slug, granted.port, granted.session_id])


def unseal_pass(key: bytes, sealed: str, now_s: float) -> Pass | None:
    """None when the key did not seal it, or too long ago."""
    match unseal(key, _PASS, sealed):
        case [int(until_s), str(slug), int(port), str(session_id)] if now_s < until_s:
            return Pass(slug, port, session_id)
        case _:
            return None


class Spent:
    """Which tickets have been used, for as long as they would be good."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()  # by slug: numbers, until when

    def first_use(self, ticket: Ticket, now_s: float) -> bool:
        """Whether it is; with this it is used."""
        for slug in [slug for slug, numbers in self._spent.items() if next(reversed(numbers.values())) <= now_s]:
            del self._spent[slug]
        numbers = self._spent.setdefault(ticket.slug, OrderedDict())
        if ticket.number in numbers:
            return False
        numbers[ticket.number] = now_s + TICKET_LASTS_S
        if len(numbers) > SPENT_MOST:
            numbers.popitem(last=False)
        return True
