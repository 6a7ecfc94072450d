"""Bytes under keys: what versions need of a store. `tests/contracts/store.py` says the same in tests."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol, Self

from runner.errors import DevexError

# Of an object: packs are a few MiB, the index of a huge workspace tens; all are read whole.
LARGEST_BYTES: Final = 256 << 20
_NAME: Final = "[a-z0-9-]+"
_KEY: Final = re.compile(f"{_NAME}(/{_NAME})*")


class StoreError(DevexError):
    """The store could not do it. `retryable` says whether asking again may help."""

    def __init__(self, message: str, *, retryable: bool, action: str = "Try again; if it stays, ask the operator."):
        super().__init__("store", message, action, status=503, retryable=retryable)


class Missing(DevexError):
    """There is no object under this key."""

    def __init__(self, key: str) -> None:
        super().__init__("missing", f"The store has no object “{key}”.", "Choose another version.", status=404)


class Taken(DevexError):
    """There is an object under this key already; it was left as it is."""

    def __init__(self, key: str) -> None:
        super().__init__("taken", f"Somebody else wrote “{key}”.", "Try again.", status=409, retryable=True)


class Fenced(DevexError):
    """A newer incarnation of the REPL has written a version: this one may not any more."""

    def __init__(self) -> None:
        super().__init__("fenced", "This REPL was started somewhere else meanwhile.", "Open it again.", status=409)


class Listed(NamedTuple):
    key: str
    size_bytes: int
    modified_at: datetime  # by the store's clock


class Store(Protocol):
    """Objects are never overwritten: they are created whole, read, listed in the order of their keys and deleted.

    Keys are names of the characters `a-z 0-9 -` joined by `/`; none is the beginning of another up to a `/`. Objects
    are of at most LARGEST_BYTES. Every method raises StoreError, after its own retries and within its own deadlines.
    Safe to use from many tasks of one event loop.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object, or a range of it (shorter where it ends earlier, empty where it ended before). Missing."""

    async def create(self, key: str, data: bytes) -> None:
        """Durable, and visible as a whole, when it returns. Repeating it with the same data is no error.

        Taken, where the store can tell (see `conditional`). Where it cannot, the later of two writers wins, and of two
        at once perhaps neither: give a key to one writer, and data a digest.
        """

    def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        """Objects whose key begins with `prefix`, by key in byte order; at most `limit`. Files of others are none."""

    async def delete(self, keys: Sequence[str]) -> None:
        """What is not there is no error."""

    async def conditional(self) -> bool:
        """Whether `create` refuses an existing key, found out by trying (servers that ignore `If-None-Match` exist)."""


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def check_key(key: str) -> None:
    """ValueError, here and below: whoever called is at fault, not the store."""
    if not is_key(key):
        raise ValueError(f"not a key: {key!r}")


def check_size(data: bytes) -> None:
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"an object of {len(data)} bytes")


def check_range(start: int, length: int | None) -> None:
    if start < 0 or (length is not None and length < 1):
        raise ValueError(f"not a range: {length} bytes from {start}")


def too_large(key: str) -> StoreError:
    return StoreError(
        f"The object “{key}” is larger than any that DEVEX writes.", retryable=False, action="Ask the operator."
    )
