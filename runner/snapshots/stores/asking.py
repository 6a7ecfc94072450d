"""A signer at the other end of a connection: what it is asked and what it answers, as JSON's types.

    {"get": key}  {"put": key, "size": bytes, "sha256": hexadecimal}     -> {"url", "headers"}
    {"page": prefix, "after": text or null, "limit": number}             -> {"found": [[key, size, time], ...], "after"}
    {"delete": [key, ...]}                                               -> {}
    {"conditional": true}                                                -> {"conditional": bool}

or {"error": {"message", "action", "retryable"}}.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from runner.snapshots.stores.remote import PAGE, Page
from runner.snapshots.stores.signed import Get, Put, Signed, Signer
from runner.snapshots.stores.store import Listed, StoreError

Message = dict[str, Any]
Ask = Callable[[Message], Awaitable[Message]]
"""Sends a question and waits for its answer; raises StoreError without one."""


class FarSigner:
    """Here, where there are no credentials."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def sign(self, request: Get | Put) -> Signed:
        if isinstance(request, Get):
            answer = await self._answer({"get": request.key})
        else:
            bound = {"size": request.size_bytes, "sha256": request.sha256.hex()}
            answer = await self._answer({"put": request.key, **bound})
        return Signed(answer["url"], answer["headers"])

    async def page(self, prefix: str, after: str | None, limit: int) -> Page:
        answer = await self._answer({"page": prefix, "after": after, "limit": limit})
        found = [Listed(key, size, datetime.fromtimestamp(at, UTC)) for key, size, at in answer["found"]]
        return Page(found, answer["after"])

    async def delete(self, keys: Sequence[str]) -> None:
        for first in range(0, len(keys), PAGE):  # a question is not read when it is too long
            await self._answer({"delete": list(keys[first : first + PAGE])})

    async def conditional(self) -> bool:
        return bool((await self._answer({"conditional": True}))["conditional"])

    async def _answer(self, question: Message) -> Message:
        answer = await self._ask(question)
        if (error := answer.get("error")) is not None:
            raise StoreError(error["message"], retryable=error["retryable"], action=error["action"])
        return answer


async def answered(signer: Signer, question: Message) -> Message:
    """There, where they are. The question comes from a stranger; its answer says what is wrong with it."""
    try:
        return await _answer(signer, question)
    except ValueError:
        error = StoreError("The control plane does not understand this.", retryable=False)
    except StoreError as refused:
        error = refused
    return {"error": {"message": error.message, "action": error.action, "retryable": error.retryable}}


async def _answer(signer: Signer, question: Message) -> Message:
    match question:
        case {"get": str(key)}:
            return (await signer.sign(Get(key)))._asdict()
        case {"put": str(key), "size": int(size), "sha256": str(sha256)}:
            return (await signer.sign(Put(key, size, bytes.fromhex(sha256))))._asdict()
        case {"page": str(prefix), "after": (str() | None) as after, "limit": int(limit)}:
            page = await signer.page(prefix, after, limit)
            found = [[one.key, one.size_bytes, one.modified_at.timestamp()] for one in page.found]
            return {"found": found, "after": page.after}
        case {"delete": [*keys]} if all(isinstance(key, str) for key in keys):
            await signer.delete(keys)
            return {}
        case {"conditional": True}:
            return {"conditional": await signer.conditional()}
    raise ValueError("not a question")
