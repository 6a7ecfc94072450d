"""Routes that bring new content: files in one request, large ones in pieces. `routes` describes them."""

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Final

from anyio import CancelScope, CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response

from runner.errors import DevexError
from runner.proxy import http
from runner.proxy.files import address, transfer
from runner.viewer import viewer_of
from runner.workspace import Draft, Stat, Workspace
from runner.workspace.drafts import ABSENT, RESUMABLE, exists
from runner.workspace.paths import join, parse_file

CLAIM_BYTES: Final = 16 << 20  # of uploads that do not say their size
TRANSFERS: Final = 8  # at a time; more wait
FIRST_SWEEP_S: Final = 60.0  # after the start, when much else happens and nobody waits for this
SWEEP_S: Final = 6 * 3600.0  # half uploads may be continued for a day
_UPLOAD_ID: Final = re.compile(r"[0-9a-z]{8,48}")

log = logging.getLogger(__name__)


class Uploads:
    """The endpoints; `max_bytes` is of one file."""

    def __init__(self, workspace: Workspace, max_bytes: int, on_write: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._max_bytes = max_bytes
        self._on_write = on_write
        self._transfers = CapacityLimiter(TRANSFERS)

    async def put(self, request: Request) -> Response:
        path, expect = address.file_path(request), transfer.expectation(request)
        async with self._transfers:
            before = await to_thread.run_sync(self._prepare, path, _declared(request), expect)
            draft = await to_thread.run_sync(self._workspace.draft, path)
            try:
                await self._receive(request, draft, _declared(request))
                name = await to_thread.run_sync(draft.digest)
                stat = await to_thread.run_sync(lambda: draft.commit(expect=expect))
            finally:
                with CancelScope(shield=True):  # unlinking much takes its time
                    await to_thread.run_sync(draft.discard)
        self._on_write(viewer_of(request.scope).name)
        status = 200 if before else 201
        return http.Json({"path": path, "digest": name, "size": stat.size_bytes}, status)

    def _prepare(self, path: str, size_bytes: int | None, expect: str | None) -> Stat | None:
        """Claim room and make the folders; returns what is there already."""
        parse_file(path)
        if size_bytes is not None and size_bytes > self._max_bytes:
            raise self._too_large()
        before = self._workspace.stat(path) if self._workspace.exists(path) else None
        if before and expect == ABSENT:
            raise exists(path)  # now, not after a long upload
        held = before.disk_bytes if before else 0
        self._workspace.quota.claim((size_bytes or 0) - held, 0 if before else 1)
        folder = path.rpartition("/")[0]
        if folder and not before:
            self._workspace.mkdir(folder, parents=True, exist_ok=True)
        return before

    async def _receive(self, request: Request, draft: Draft, claimed_bytes: int | None) -> None:
        claimed, received = claimed_bytes or 0, draft.size_bytes
        async with aclosing(transfer.collected(request)) as pieces:
            async for piece in pieces:
                received += len(piece)
                if received > self._max_bytes:
                    raise self._too_large()
                if received > claimed:
                    await to_thread.run_sync(self._workspace.quota.claim, CLAIM_BYTES)
                    claimed += CLAIM_BYTES
                await to_thread.run_sync(draft.write, piece)

    def _too_large(self) -> DevexError:
        limit = self._max_bytes >> 20
        return DevexError(
            "too_large", f"The file is larger than {limit} MiB.", "Fetch it from a terminal instead.", status=413
        )

    async def offset(self, request: Request) -> Response:
        path, token = _target(request), _token(request)
        return http.Json({"offset": await to_thread.run_sync(self._workspace.draft_size, path, token)})

    async def piece(self, request: Request) -> Response:
        path, token = _target(request), _token(request)
        size, offset = address.number(request, "size"), address.number(request, "offset")
        expect = transfer.expectation(request)
        async with self._transfers:
            await to_thread.run_sync(self._prepare, path, max(size - offset, 0), expect)
            draft = await to_thread.run_sync(self._workspace.draft, path, token)
            try:
                return await self._continue(request, draft, size, offset, expect)
            finally:
                draft.close()

    async def _continue(self, request: Request, draft: Draft, size: int, offset: int, expect: str | None) -> Response:
        if draft.size_bytes != offset or size > self._max_bytes:
            if size > self._max_bytes:
                raise self._too_large()
            raise DevexError("offset", f"The upload is at {draft.size_bytes}.", "Continue from there.", status=409)
        await self._receive(request, draft, size)
        self._on_write(viewer_of(request.scope).name)
        if draft.size_bytes < size:
            return http.Json({"offset": draft.size_bytes, "done": False})
        if draft.size_bytes > size:
            await to_thread.run_sync(draft.discard)
            raise DevexError("size", "More arrived than was announced.", "Upload the file again.")
        name = await to_thread.run_sync(draft.digest)
        await to_thread.run_sync(lambda: draft.commit(expect=expect))
        return http.Json({"offset": size, "done": True, "path": draft.path, "digest": name}, 201)

    async def discard(self, request: Request) -> Response:
        path, token = _target(request), _token(request)
        if await to_thread.run_sync(self._workspace.draft_size, path, token):
            draft = await to_thread.run_sync(self._workspace.draft, path, token)
            await to_thread.run_sync(draft.discard)
        return Response(status_code=204)


async def sweeping(workspace: Workspace, stop: asyncio.Event) -> None:
    """Until `stop`: now and then delete uploads that nobody continues, also those of a server that was killed."""
    pause_s = FIRST_SWEEP_S
    while not stop.is_set():
        try:
            async with asyncio.timeout(pause_s):
                await stop.wait()
        except TimeoutError:
            try:
                await to_thread.run_sync(workspace.sweep, stop.is_set)
            except OSError as error:  # out of descriptors, a bad disk
                log.warning("half uploads are not swept: %s", error)
            pause_s = SWEEP_S


def _declared(request: Request) -> int | None:
    length = request.headers.get("content-length", "")
    return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None


def _target(request: Request) -> str:
    return address.checked(join(address.query_path(request, "path", ""), address.query(request, "name")))


def _token(request: Request) -> str:
    upload_id: Any = request.path_params["id"]
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise DevexError("bad_request", "The upload's id must be 8 to 48 of 0-9a-z.", "Choose another id.")
    return f"{RESUMABLE}{upload_id}"
