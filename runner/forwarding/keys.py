"""Who may speak to whom: proofs that open a link, tokens that say for whom a request is made.

The key is one incarnation's, from its Secret. An impostor on the proxy's port, such as a program in the pod that took
it when the proxy died, cannot answer the gateway's challenge, and is told nothing but a random number.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Final, Literal

from runner import seals
from runner.errors import DevexError
from runner.viewer import Viewer

NONCE_BYTES: Final = 32
PROOF_BYTES: Final = hashlib.sha256().digest_size
TOKEN_LASTS_S: Final = 120.0  # it is used at once; this bears clocks that are a minute apart

_TOKEN: Final = b"devex token"

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
    return seals.seal(key, _TOKEN, [repl_id, viewer.user_id, viewer.name, viewer.can_write, now_s + TOKEN_LASTS_S])


def unseal(key: bytes, repl_id: str, token: str, now_s: float) -> Viewer:
    """Raises BadToken."""
    match seals.unseal(key, _TOKEN, token):
        case [str(of), str(user_id), str(name), bool(can_write), float(until_s)] if of == repl_id and now_s < until_s:
            return Viewer(user_id, name, can_write=can_write)
    raise BadToken
