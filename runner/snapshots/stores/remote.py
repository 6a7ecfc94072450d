"""What stores behind a network share: asking again, answers that were lost, creating only, ranges, pages."""

import asyncio
import secrets
import ssl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Final, NamedTuple

import httpx

from runner.snapshots.stores.answers import Refusal
from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.store import Listed, Missing, StoreError, Taken, check_key, check_range, check_size

CONNECTIONS: Final = 16  # packs of some MiB travel a few at a time; the rest are small ones
USUAL_BYTES: Final = 8 << 20  # of an object whose size is not known yet; gives the deadline
PAGE: Final = 1000  # names in a page, and in a request to delete: S3's limit


class Piece(NamedTuple):
    data: bytes
    is_range: bool  # False: the whole object, from a server that knows no ranges, too


class Page(NamedTuple):
    found: Sequence[Listed]
    after: str | None  # what to ask for the next page with; None: this was the last


class RemoteStore(ABC):
    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._conditional: bool | None = None
        self._lines = asyncio.Semaphore(CONNECTIONS)  # whoever waits for one has no deadline running

    @abstractmethod
    async def _read(self, key: str, wanted: str | None) -> Piece:
        """One attempt; `wanted` is HTTP's `Range`. Refusal, StoreError."""

    @abstractmethod
    async def _write(self, key: str, data: bytes) -> None:
        """One attempt to create. Refusal, StoreError."""

    @abstractmethod
    async def page(self, prefix: str, after: str | None, limit: int) -> Page:
        """At most `limit` (and PAGE) objects; with attempts of its own."""

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> None:
        """With attempts of its own."""

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        check_key(key)
        check_range(start, length)
        async with self._lines:
            return await self._patience.persist(lambda: self._get(key, start, length), length or USUAL_BYTES)

    async def create(self, key: str, data: bytes) -> None:
        check_key(key)
        check_size(data)
        async with self._lines:
            await self._patience.persist(lambda: self._create(key, data), len(data))

    async def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        after, left = None, limit
        while left is None or left > 0:
            page = await self.page(prefix, after, PAGE if left is None else min(left, PAGE))
            for listed in page.found:
                yield listed
            if page.after is None:
                return
            after = page.after
            left = None if left is None else left - len(page.found)

    async def conditional(self) -> bool:
        if self._conditional is None:
            self._conditional = await self._probe()
        return self._conditional

    async def _probe(self) -> bool:
        key = f"probe/{secrets.token_hex(16)}"
        await self.create(key, b"first")
        try:
            await self.create(key, b"second")
        except Taken:
            return True
        finally:
            await self.delete([key])
        return False

    async def _get(self, key: str, start: int, length: int | None) -> bytes:
        end = "" if length is None else str(start + length - 1)
        is_part = start > 0 or length is not None
        try:
            piece = await self._read(key, f"bytes={start}-{end}" if is_part else None)
        except Refusal as refused:
            if refused.is_missing:
                raise Missing(key) from None
            if refused.is_past_the_end:
                return b""
            raise
        rest = piece.data if piece.is_range or start == 0 else piece.data[start:]
        return rest if length is None else rest[:length]

    async def _create(self, key: str, data: bytes) -> None:
        try:
            await self._write(key, data)
        except Refusal as refused:
            if not refused.is_taken:
                raise
            await self._require_same(key, data)

    async def _require_same(self, key: str, data: bytes) -> None:
        """What is there may be our own, from an attempt whose answer was lost."""
        try:
            found = await self._get(key, 0, len(data) + 1)
        except Missing:
            raise StoreError("Another writer began and did not end.", retryable=True) from None
        if found != data:
            raise Taken(key)


def trusting(ca_file: str | None) -> ssl.SSLContext:
    """Blocks. The certificates in the file, or those that come with the libraries (certifi)."""
    if ca_file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # as what is wrong in it is, too
        raise StoreError(
            f"The file of certificates to trust for the store cannot be read ({error.strerror or error}).",
            retryable=False,
            action="Ask the operator to correct the store's settings.",
        ) from error


def from_somebody_else() -> StoreError:
    """S3 tells its successes otherwise. A page to log in, from a proxy in between, must not pass for an empty store."""
    return StoreError("Somebody else answers in the store's place.", retryable=True)


def broken(error: BaseException) -> StoreError:
    """What the network did, as one of its libraries' exceptions tells it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError) and hasattr(cause, "verify_message"):  # aiohttp's has none
            return StoreError(
                f"The certificate of the store is not trusted ({cause.verify_message}).",
                retryable=False,
                action="Ask the operator to set the file of certificates to trust.",
            )
        cause = cause.__cause__ or cause.__context__
    return StoreError("The store cannot be reached, or the connection to it broke.", retryable=True)
