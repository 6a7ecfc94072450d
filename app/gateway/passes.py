"""How a browser that is signed in at the application gets into the hosts of a REPL's ports.

A ticket (one use, one minute, in memory) is exchanged for a signed pass in a cookie of that one host. A pass names its
session, so that it ends with it; it outlives a restart of the server, because only its signature is checked.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.accounts.tokens import new_token, token_id
from orchestrator.clock import Clock

TICKET_LASTS = timedelta(minutes=1)  # between asking for the address and opening it
TICKETS_MOST = 1000
PASS_LASTS = timedelta(hours=12)  # a day's work; then the application is asked for another one
PASS_MOST_CHARACTERS = 1000


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
    path: str
    until: datetime


class Passes:
    """Tickets are kept here; passes are only signed, with a key made from `secret`."""

    def __init__(self, clock: Clock, secret: str) -> None:
        self._clock = clock
        self._key = hashlib.sha256(b"devex preview pass\0" + secret.encode()).digest()
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()

    def ticket(self, slug: str, ports: tuple[int, ...], session_id: str, path: str = "/") -> str:
        """The token of a new ticket; beyond TICKETS_MOST the oldest is forgotten."""
        token = new_token()
        self._tickets[token_id(token)] = Ticket(slug, ports, session_id, path, self._clock.now() + TICKET_LASTS)
        while len(self._tickets) > TICKETS_MOST:
            self._tickets.popitem(last=False)
        return token

    def redeem(self, token: str) -> Ticket | None:
        """The ticket, used up with this; None when there is none, it was used before, or it is too old."""
        ticket = self._tickets.pop(token_id(token[:100]), None)
        return ticket if ticket is not None and self._clock.now() < ticket.until else None

    def seal(self, granted: Pass) -> str:
        """The value of a cookie, good for PASS_LASTS."""
        until = int((self._clock.now() + PASS_LASTS).timestamp())
        content = json.dumps([granted.slug, granted.port, granted.session_id, until], separators=(",", ":"))
        text = base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode()
        return f"{text}.{self._signature(text)}"

    def unseal(self, sealed: str) -> Pass | None:
        """The pass in a cookie's value; None when we did not seal it, or too long ago."""
        text, _, signature = sealed[:PASS_MOST_CHARACTERS].partition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(text).encode()):
            return None
        try:
            slug, port, session_id, until = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (ValueError, binascii.Error):
            return None
        return Pass(slug, port, session_id) if self._clock.now().timestamp() < until else None

    def _signature(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
