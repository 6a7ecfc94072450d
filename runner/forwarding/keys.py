"""Who may speak to whom: proofs that open a link, tokens that say for whom a request is made.

The key is one incarnation's, from its Secret. An impostor on the proxy's port, such as a program in the pod that took
it when the proxy died, cannot answer the gateway's challenge, and is told nothing but a random number.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from runner.errors import DevexError
from runner.proxy.viewer import Viewer

NONCE_BYTES: Final = 32
PROOF_BYTES: Final = hashlib.sha256().digest_size
TOKEN_LASTS_S: Final = 120.0  # it is used at once; this bears clocks that are a minute apart
TOKEN_MOST_CHARACTERS: Final = 2000

Speaker = Literal["gateway", "proxy"]


class Impostor(DevexError):
    """The other end does not hold the key, or is of another incarnation."""

    def __init__(self) -> None:
        message = "What answers in the REPL's place is not its proxy."
        super().__init__("impostor", message, "Stop the REPL and start it again.", status=502)


class BadToken(DevexError):
    """Not sealed with this incarnation's key, or too long ago."""

    def __init__(self) -> None:
        super().__init__("bad_token", "The REPL does not know who asks.", "Try again.", status=401, retryable=True)


@dataclass(frozen=True, slots=True)
class Incarnation:
    """`instance` tells two runs of one epoch apart: the pod's uid."""

    repl_id: str
    epoch: int
    instance: str


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


def proof(key: bytes, speaker: Speaker, of: Incarnation, gateway_nonce: bytes, proxy_nonce: bytes) -> bytes:
    """That `speaker` holds `key` now. Each end names itself, so that neither can be answered with its own proof."""
    said = json.dumps(["devex link", speaker, of.repl_id, of.epoch, of.instance]).encode()
    return hmac.digest(key, said + gateway_nonce + proxy_nonce, "sha256")


def seal(key: bytes, repl_id: str, viewer: Viewer, now_s: float) -> str:
    """A token for one request of `viewer`, good for TOKEN_LASTS_S (`now_s` in seconds since 1970)."""
    claims = [repl_id, viewer.user_id, viewer.name, viewer.can_write, now_s + TOKEN_LASTS_S]
    text = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()
    return f"{text}.{_signature(key, text)}"


def unseal(key: bytes, repl_id: str, token: str, now_s: float) -> Viewer:
    """Raises BadToken."""
    text, _, signature = token[:TOKEN_MOST_CHARACTERS].partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, text).encode()):
        raise BadToken
    try:
        of, user_id, name, can_write, until_s = json.loads(base64.urlsafe_b64decode(text))
    except (ValueError, binascii.Error):
        raise BadToken from None
    if of != repl_id or now_s >= until_s:
        raise BadToken
    return Viewer(user_id, name, can_write=can_write)


def _signature(key: bytes, text: str) -> str:
    return hmac.new(key, b"devex token\0" + text.encode(), hashlib.sha256).hexdigest()
