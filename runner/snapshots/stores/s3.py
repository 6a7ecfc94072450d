"""Versions in S3: AWS, MinIO, and whatever else speaks it. The one module that knows its library.

The library costs 60 MB and half a second: it is imported, in a thread, when a store is opened.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Final, Literal, Self

from runner.snapshots.stores.answers import Refusal, refusal
from runner.snapshots.stores.patience import PATIENCE, Patience
from runner.snapshots.stores.remote import (
    CONNECTIONS,
    PAGE,
    Page,
    Piece,
    RemoteStore,
    broken,
    from_somebody_else,
    trusting,
)
from runner.snapshots.stores.signed import Get, Put, Signed
from runner.snapshots.stores.store import (
    LARGEST_BYTES,
    Listed,
    StoreError,
    check_key,
    is_key,
    too_large,
)

SIGNED_FOR_S: Final = 300  # enough for a pack over a slow line, and for clocks that are a little apart
_READ_BYTES: Final = 1 << 20

Client = Any  # the library has no types: what it returns is looked at in this module, and nowhere else


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config:
    """Without keys the library looks for them itself: environment, files, the machine's or the pod's role."""

    bucket: str
    prefix: str = ""  # before every key, as it is: "devex/"
    region: str = "us-east-1"
    endpoint_url: str | None = None  # None: AWS
    addressing: Literal["auto", "path", "virtual"] = "auto"
    ca_file: str | None = None  # certificates to trust in place of the usual ones
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    encryption: Literal["", "AES256", "aws:kms"] = ""  # at rest, by the server
    encryption_key_id: str | None = None


class S3Store(RemoteStore):
    def __init__(self, config: S3Config, patience: Patience = PATIENCE) -> None:
        super().__init__(patience)
        self._config = config
        self._asks_to_create = True

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._client = await stack.enter_async_context(_client(self._config, self._patience))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def page(self, prefix: str, after: str | None, limit: int) -> Page:
        return await self._patience.persist(lambda: self._page(prefix, after, limit), 0)

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            check_key(key)
        for first in range(0, len(keys), PAGE):
            batch = keys[first : first + PAGE]
            await self._patience.persist(partial(self._delete, batch), 0)

    async def presign(self, request: Get | Put) -> Signed:
        """For someone without credentials, for SIGNED_FOR_S."""
        check_key(request.key)
        match request:
            case Get(key):
                return await self._signed("get_object", self._at(key), {})
            case Put(key, size_bytes):
                await self.conditional()  # who asks would not tell us that the server refuses the condition
                bound = {"ContentLength": size_bytes, "ChecksumSHA256": request.sha256_base64}
                parameters = {**self._at(key), **self._put_parameters(), **bound}
                return await self._signed("put_object", parameters, _PUT_HEADERS)

    async def _signed(self, method: str, parameters: Mapping[str, Any], headers: Mapping[str, str]) -> Signed:
        async with _explained():
            url = await self._client.generate_presigned_url(method, Params=parameters, ExpiresIn=SIGNED_FOR_S)
        return Signed(url, {header: parameters[name] for name, header in headers.items() if name in parameters})

    async def _read(self, key: str, wanted: str | None) -> Piece:
        ranged = {"Range": wanted} if wanted else {}
        async with _explained():
            answer = await self._client.get_object(**self._at(key), **ranged)
            body = answer["Body"]
            async with body:
                data = await _read_all(key, body, answer.get("ContentLength"))
        return Piece(data, is_range="ContentRange" in answer)  # not every server answers 206

    async def _write(self, key: str, data: bytes) -> None:
        parameters = self._put_parameters()
        try:
            async with _explained():
                answer = await self._client.put_object(**self._at(key), **parameters, Body=data)
        except Refusal as refused:
            if not refused.is_unknown or "IfNoneMatch" not in parameters:
                raise
            self._asks_to_create = False  # Backblaze knows the condition, and refuses to keep it
            await self._write(key, data)
        else:
            if "ETag" not in answer:
                raise from_somebody_else()

    async def _page(self, prefix: str, after: str | None, limit: int) -> Page:
        own = self._config.prefix
        at = {"ContinuationToken": after} if after else {}
        async with _explained():
            answer = await self._client.list_objects_v2(
                Bucket=self._config.bucket, Prefix=own + prefix, MaxKeys=min(limit, PAGE), **at
            )
        if "IsTruncated" not in answer:
            raise from_somebody_else()
        found = [
            Listed(one["Key"].removeprefix(own), one["Size"], one["LastModified"].astimezone(UTC))
            for one in answer.get("Contents", ())
        ]
        after = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
        return Page([one for one in found if is_key(one.key)], after)

    async def _delete(self, keys: Sequence[str]) -> None:
        wanted = {"Objects": [{"Key": self._config.prefix + key} for key in keys], "Quiet": True}
        async with _explained():
            answer = await self._client.delete_objects(Bucket=self._config.bucket, Delete=wanted)
        for error in answer.get("Errors", ()):
            if error.get("Code") != "NoSuchKey":
                raise refusal(200, error.get("Code", ""), "", datetime.now(UTC))

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._config.bucket, "Key": self._config.prefix + key}

    def _put_parameters(self) -> dict[str, Any]:
        parameters = {
            "IfNoneMatch": "*" if self._asks_to_create else None,
            "ServerSideEncryption": self._config.encryption,
            "SSEKMSKeyId": self._config.encryption_key_id,
        }
        return {name: value for name, value in parameters.items() if value}


_PUT_HEADERS: Final = {  # what the library signs of a PUT beside its length
    "IfNoneMatch": "if-none-match",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}


@asynccontextmanager
async def _client(config: S3Config, patience: Patience) -> AsyncIterator[Client]:
    if config.ca_file:
        await asyncio.to_thread(trusting, config.ca_file)  # says what is wrong with it, where the library does not
    session = await asyncio.to_thread(_session, config.access_key, config.secret_key)
    async with AsyncExitStack() as stack:
        try:
            async with _explained():
                client = await stack.enter_async_context(session.client("s3", **_arguments(config, patience)))
        except ValueError as error:  # what the library says of addresses
            raise _wrong_settings(error) from error
        client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
        client.meta.events.register_last("before-parameter-build.s3", _stay)
        yield client


def _arguments(config: S3Config, patience: Patience) -> dict[str, Any]:
    from botocore.config import Config

    return {
        "region_name": config.region,
        "endpoint_url": config.endpoint_url,
        "verify": config.ca_file,
        "config": Config(
            signature_version="s3v4",
            s3={"addressing_style": config.addressing},
            connect_timeout=patience.connect_s,
            read_timeout=patience.silence_s,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": 1},  # ours: `Patience`
            # Not every server understands the library's own sums. What is sent is signed with its SHA-256, and what is
            # read is compared with the digests in the versions.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    }


@cache
def _session(access_key: str | None, secret_key: str | None) -> Any:
    """One in a process. With its first client it reads some MB of files, and keeps them: not on the event loop."""
    import aioboto3

    session = aioboto3.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key)

    async def rehearse() -> None:
        async with _explained(), session.client("s3", region_name="us-east-1"):
            pass

    asyncio.run(rehearse())
    return session


def _add_md5(request: Any, **_: object) -> None:
    """What older servers ask for; AWS takes either this or the newer sum that the library adds."""
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _stay(context: Any, **_: object) -> None:
    """Sent elsewhere, the library asks where the bucket is, for ever where nobody says: settings name the region."""
    context.get("s3_redirect", {})["redirected"] = True


async def _read_all(key: str, body: Any, size_bytes: int | None) -> bytes:
    """Bounded, whatever the server says. A body that is cut off is an error of the library's."""
    if size_bytes is not None and size_bytes > LARGEST_BYTES:
        raise too_large(key)
    pieces, size = [], 0
    while piece := await body.read(_READ_BYTES):
        size += len(piece)
        if size > LARGEST_BYTES:
            raise too_large(key)
        pieces.append(piece)
    return b"".join(pieces)


@asynccontextmanager
async def _explained() -> AsyncIterator[None]:
    """The library's errors as ours."""
    import aiohttp
    from botocore import exceptions as failures
    from botocore.parsers import ResponseParserError

    try:
        yield
    except failures.ClientError as error:
        raise _refusal(error.response) from error
    except (
        aiohttp.ClientError,
        failures.ConnectionError,
        failures.HTTPClientError,
        failures.IncompleteReadError,
        ResponseParserError,  # a page of somebody in between
        failures.CredentialRetrievalError,
        failures.MetadataRetrievalError,
    ) as error:
        raise broken(error) from error
    except failures.BotoCoreError as error:
        raise _wrong_settings(error) from error


def _wrong_settings(error: Exception) -> StoreError:
    return StoreError(
        f"The store's settings do not work: {error}", retryable=False, action="Ask the operator to correct them."
    )


def _refusal(answer: Mapping[str, Any]) -> Refusal:
    code, about = str(answer["Error"].get("Code", "")), answer["ResponseMetadata"]
    date = about.get("HTTPHeaders", {}).get("date", "")
    return refusal(about.get("HTTPStatusCode", 0), code, date, datetime.now(UTC))
