"""Bytes under keys: what versions need of a store. `tests/contracts/store.py` says the same in tests."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol, Self

from runner.errors import DevexError


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


class Listed(NamedTuple):
    key: str
    size_bytes: int
    modified_at: datetime  # by the store's clock


class Store(Protocol):
    """Objects are never overwritten: they are created whole, read, listed in the order of their keys and deleted.

    Keys are of the characters `a-z 0-9 / -`. Every method raises StoreError, after its own retries and within its own
    deadlines. Safe to use from many tasks of one event loop.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object, or a range of it (shorter where it ends earlier). Missing."""

    async def create(self, key: str, data: bytes) -> None:
        """Durable, and visible as a whole, when it returns. Repeating it with the same data is no error.

        Taken, where the store can tell (see `conditional`): otherwise the later of two writers wins.
        """

    def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        """Objects whose key begins with `prefix`, by key in byte order; at most `limit`."""

    async def delete(self, keys: Sequence[str]) -> None:
        """What is not there is no error."""

    async def conditional(self) -> bool:
        """Whether `create` refuses an existing key, found out by trying (servers that ignore `If-None-Match` exist)."""
