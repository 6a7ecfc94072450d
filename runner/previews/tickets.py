"""How a browser that is signed in at the application gets into the hosts of a REPL's ports. Pure, but for `Spent`.

A ticket (one use, one minute) is exchanged for a pass in a cookie of that one host. Both are sealed with a key that the
gateway has and, where it opens the hosts itself, the proxy of that incarnation: what one REPL's key sealed opens no
other's hosts, nor what an old epoch's sealed a new one's. A pass names its session, so that it ends with it.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

TICKET_LASTS_S: Final = 60  # between asking for the address and opening it
PASS_LASTS_S: Final = 12 * 3600  # a day's work; then the application is asked for another one
SEALED_MOST_CHARACTERS: Final = 6000  # a path of 2000, each of them escaped
SPENT_MOST: Final = 1000  # of one REPL within TICKET_LASTS_S; whoever asks for more may use the first of them again


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
    claims = [ticket.slug, ticket.ports, ticket.session_id, ticket.path, ticket.number]
    return _seal(key, b"ticket", claims, now_s + TICKET_LASTS_S)


def unseal_ticket(key: bytes, token: str, now_s: float) -> Ticket | None:
    """None when the key did not seal it, or too long ago."""
    match _unseal(key, b"ticket", token, now_s):
        case [str(slug), [*ports], str(session_id), str(path), str(number)]:
            return Ticket(slug, tuple(ports), session_id, path, number)
        case _:
            return None


def seal_pass(key: bytes, granted: Pass, now_s: float) -> str:
    """The value of a cookie."""
    return _seal(key, b"pass", [granted.slug, granted.port, granted.session_id], now_s + PASS_LASTS_S)


def unseal_pass(key: bytes, sealed: str, now_s: float) -> Pass | None:
    """None when the key did not seal it, or too long ago."""
    match _unseal(key, b"pass", sealed, now_s):
        case [str(slug), int(port), str(session_id)]:
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


def _seal(key: bytes, kind: bytes, claims: list[Any], until_s: float) -> str:
    content = json.dumps([int(until_s), *claims], separators=(",", ":"))
    text = base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode()
    return f"{text}.{_signature(key, kind, text)}"


def _unseal(key: bytes, kind: bytes, sealed: str, now_s: float) -> list[Any] | None:
    text, _, signature = sealed.partition(".")
    if len(sealed) > SEALED_MOST_CHARACTERS or not hmac.compare_digest(
        signature.encode(), _signature(key, kind, text).encode()
    ):
        return None
    try:
        until_s, *claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, binascii.Error):
        return None
    return claims if now_s < until_s else None


def _signature(key: bytes, kind: bytes, text: str) -> str:
    """`kind` keeps a ticket from being taken for a pass."""
    return hmac.new(key, b"devex preview " + kind + b"\0" + text.encode(), hashlib.sha256).hexdigest()
