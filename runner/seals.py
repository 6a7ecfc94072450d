"""Claims that only a holder of the key can have made, as text for cookies, addresses and headers. Pure.

Pods run on with the release that started them, so the form is what theirs reads: base64 of JSON, a dot, an HMAC.
"""

import base64
import hmac
import json
from collections.abc import Sequence
from typing import Any, Final

SEALED_MOST_CHARACTERS: Final = 6000  # a ticket's path of 2000, each of them escaped


def seal(key: bytes, purpose: bytes, claims: Sequence[Any]) -> str:
    """`purpose` keeps what is sealed for one thing from being taken for another."""
    content = json.dumps(claims, separators=(",", ":"))
    content += " " * (-len(content) % 3)  # without the "=" that base64 would end with, which cookies would quote
    text = base64.urlsafe_b64encode(content.encode()).decode()
    return f"{text}.{_signature(key, purpose, text)}"


def unseal(key: bytes, purpose: bytes, sealed: str) -> list[Any] | None:
    """None when it was not sealed with this key for this purpose."""
    if len(sealed) > SEALED_MOST_CHARACTERS:
        return None
    text, _, signature = sealed.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, purpose, text).encode()):
        return None
    try:
        claims: list[Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    return claims


def _signature(key: bytes, purpose: bytes, text: str) -> str:
    return hmac.new(key, purpose + b"\0" + text.encode(), "sha256").hexdigest()
