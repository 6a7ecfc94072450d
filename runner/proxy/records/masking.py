"""Keeps secrets out of records: everything that is recorded passes through here. Pure.

A byte of a secret becomes a star. So offsets and columns stay what they were, and whoever reads a record learns how
long a secret is. Terminals print a line's end as CR LF, so secrets of several lines are looked for in that form too;
one that a program wraps or colours in its middle is another text, and is not found.
"""

from collections.abc import Iterable
from typing import Final

STAR: Final = b"*"


class Masking:
    """`longest` is the length of the longest secret in bytes: what `released` may need to see before and behind."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        plain = {secret.encode("utf-8", "surrogateescape") for secret in secrets if secret}
        self._secrets = sorted(plain | {secret.replace(b"\n", b"\r\n") for secret in plain})
        self.longest = max(map(len, self._secrets), default=0)

    def text(self, text: str) -> str:
        """All of a text."""
        return self.released(text.encode("utf-8", "surrogateescape"), final=True).decode("utf-8", "surrogateescape")

    def released(self, raw: bytes, *, cut: bool = False, final: bool = False) -> bytes:
        """`raw` masked, without the end that may be the beginning of a secret, unless it is the `final` piece: fewer
        than `longest` bytes are held back. `cut`: what came before is not known, and may have begun a secret.
        """
        if not self._secrets:
            return raw
        masked = bytearray(raw)
        for secret in self._secrets:
            _cover(masked, raw, secret)
        if cut:
            if any(raw in secret for secret in self._secrets if len(raw) < len(secret)):
                return STAR * len(raw) if final else b""
            known = max(_overlap(secret, raw, most=len(secret) - 1) for secret in self._secrets)
            masked[:known] = STAR * known
        held = 0 if final else max(_overlap(raw, secret, most=len(secret) - 1) for secret in self._secrets)
        return bytes(masked[: len(masked) - held])


def _cover(masked: bytearray, raw: bytes, secret: bytes) -> None:
    """Put stars over `secret`, wherever it is in `raw`, also where it overlaps itself."""
    length = len(secret)
    at = raw.find(secret)
    while at >= 0:
        masked[at : at + length] = STAR * length
        # The farthest one that touches this one: what lies between is covered by both.
        touching = raw.rfind(secret, at + 1, at + 2 * length)
        at = touching if touching >= 0 else raw.find(secret, at + length)


def _overlap(first: bytes, second: bytes, *, most: int) -> int:
    """How many bytes at the end of `first` are the beginning of `second`."""
    at = first.find(second[:1], max(len(first) - min(most, len(second)), 0)) if second else -1
    while at >= 0:
        if second.startswith(first[at:]):
            return len(first) - at
        at = first.find(second[:1], at + 1)
    return 0
