"""Versions in S3 for a proxy that holds no credentials: another signs each request, for one object and some minutes.

Objects travel between the proxy and S3; what passes through the signer is small.
"""

import asyncio
import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, Self

import httpx

from runner.snapshots.stores.answers import Refusal, code_in, refusal
from runner.snapshots.stores.patience import PATIENCE, Patience
from runner.snapshots.stores.remote import CONNECTIONS, Page, Piece, RemoteStore, broken, from_somebody_else, trusting
from runner.snapshots.stores.store import LARGEST_BYTES, check_key, too_large

REFUSAL_BYTES: Final = 64 << 10  # of what S3 says in one; it says less than one KiB


class Get(NamedTuple):
    key: str


class Put(NamedTuple):
    """To create, not to replace, and with these bytes only."""

    key: str
    size_bytes: int
    sha256: bytes

    @classmethod
    def of(cls, key: str, data: bytes) -> Self:
        return cls(key, len(data), hashlib.sha256(data).digest())

    @property
    def sha256_base64(self) -> str:
        return base64.b64encode(self.sha256).decode()


class Signed(NamedTuple):
    url: str
    headers: Mapping[str, str]  # signed with it, so to be sent as they are


class Signer(Protocol):
    """Whoever holds the credentials. Refuses keys that are not the asker's; raises StoreError after its own retries."""

    async def sign(self, request: Get | Put) -> Signed: ...

    async def page(self, prefix: str, after: str | None, limit: int) -> Page: ...

    async def delete(self, keys: Sequence[str]) -> None: ...

    async def conditional(self) -> bool: ...


class Answer(NamedTuple):
    headers: httpx.Headers
    body: bytes


class SignedStore(RemoteStore):
    """`ca_file` holds the certificates to trust in place of the usual ones."""

    def __init__(self, signer: Signer, ca_file: str | None = None, patience: Patience = PATIENCE) -> None:
        super().__init__(patience)
        self._signer = signer
        self._ca_file = ca_file

    async def __aenter__(self) -> Self:
        trusted = await asyncio.to_thread(trusting, self._ca_file)
        self._http = httpx.AsyncClient(
            verify=trusted,
            timeout=httpx.Timeout(self._patience.silence_s, connect=self._patience.connect_s, pool=None),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._http.aclose()

    async def page(self, prefix: str, after: str | None, limit: int) -> Page:
        return await self._signer.page(prefix, after, limit)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        await self._signer.delete(keys)

    async def conditional(self) -> bool:
        return await self._signer.conditional()

    async def _read(self, key: str, wanted: str | None) -> Piece:
        answer = await self._send(Get(key), {"range": wanted} if wanted else {}, None)
        return Piece(answer.body, is_range="content-range" in answer.headers)  # not every server answers 206

    async def _write(self, key: str, data: bytes) -> None:
        answer = await self._send(await asyncio.to_thread(Put.of, key, data), {}, data)
        if "etag" not in answer.headers:
            raise from_somebody_else()

    async def _send(self, request: Get | Put, headers: Mapping[str, str], data: bytes | None) -> Answer:
        """With a fresh signature where the first may have expired, on the way or before it was used."""
        try:
            return await self._send_once(request, headers, data)
        except Refusal as refused:
            if not refused.may_have_expired:
                raise
        return await self._send_once(request, headers, data)

    async def _send_once(self, request: Get | Put, headers: Mapping[str, str], data: bytes | None) -> Answer:
        signed = await self._signer.sign(request)
        method = "GET" if isinstance(request, Get) else "PUT"
        sent = {**headers, **signed.headers, "accept-encoding": "identity"}
        try:
            async with self._http.stream(method, signed.url, headers=sent, content=data) as answer:
                body = await _body(answer, LARGEST_BYTES if answer.is_success else REFUSAL_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise broken(error) from error
        if not answer.is_success:
            raise refusal(answer.status_code, code_in(body or b""), answer.headers.get("date", ""), datetime.now(UTC))
        if body is None:
            raise too_large(request.key)
        return Answer(answer.headers, body)


async def _body(answer: httpx.Response, limit_bytes: int) -> bytes | None:
    """None when it is longer. One that is cut off is an httpx.RemoteProtocolError."""
    if int(answer.headers.get("content-length", 0)) > limit_bytes:  # h11 has checked that it is a number
        return None
    pieces, size = [], 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size > limit_bytes:
            return None
        pieces.append(piece)
    return b"".join(pieces)
