"""Routes to the versions of a REPL. A version is {version, at, author, message, name, files, size_bytes, added, notes,
noted}; paths and errors are as in `files.routes`.

- `GET snapshots?before=&limit=&path=` -> {versions, next, stored}, newest first, with `path` those that changed it;
  `next` is the `before` of the older ones, null when there are none; `stored` is what is safe now (`Stored`), null of
  a REPL that does not run
- `POST snapshots` {name?} takes one now -> {version}; with a name it is kept for ever
- `PUT snapshots/{version}/name` {name}; "" takes it away
- `GET snapshots/{version}/tree?path=` -> {path, entries: [[name, kind, size]], complete}
- `GET snapshots/{version}/file?path=` bytes, always an attachment
- `GET snapshots/{version}/zip?path=` the folder, or all, as a ZIP file
- `GET snapshots/{version}/search?q=` -> as `GET search`
- `GET snapshots/{version}/changes?since=` -> {changes: [[path, [kind, size] | null, [kind, size] | null]], more};
  without `since`, against the version before it
- `POST snapshots/{version}/restore` {path?} -> {files, removed, notes, noted, version}, the version that came of it;
  what was there before is a version, too
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from runner.errors import DevexError
from runner.fair_semaphore import FairSemaphore
from runner.proxy import http
from runner.proxy.files import address, transfer
from runner.snapshots.autosave import Autosave
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.turns import busy
from runner.viewer import viewer_of

LISTED: Final = 50
LISTED_MOST: Final = 200
NAME_CHARS: Final = 100
BODY_BYTES: Final = 64 << 10
READS, READS_OF_ONE = 4, 2  # lists, comparisons and searches at a time, and of one person; more wait
FILES_OF_LOOKERS: Final = 4  # at a time: half of READERS_OF_ONE, so that those who edit get some
ZIPS_OF_LOOKERS: Final = 1  # at a time: half of ZIPS_OF_ONE


class VersionReaders:
    """Who reads the versions of one REPL: each person in turn, with downloads left for those who edit. All routes to
    one REPL's versions share it: those of one that does not run are made for each request.
    """

    def __init__(self) -> None:
        self._reading = FairSemaphore(READS, READS_OF_ONE)
        self._lookers_files = asyncio.Semaphore(FILES_OF_LOOKERS)
        self._lookers_zips = asyncio.Semaphore(ZIPS_OF_LOOKERS)

    def turn(self, request: Request) -> AbstractAsyncContextManager[None]:
        """This person's: nobody's hundred searches stand before another's."""
        return self._reading.acquire(viewer_of(request.scope).user_id)

    def file(self, request: Request, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """-> those pieces; of who may only look a DevexError instead, where such have too many already."""
        return pieces if viewer_of(request.scope).can_write else _one_of(self._lookers_files, pieces)

    def zip(self, request: Request, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """As `file`."""
        return pieces if viewer_of(request.scope).can_write else _one_of(self._lookers_zips, pieces)


def snapshot_routes(snapshots: Snapshots, readers: VersionReaders, autosave: Autosave | None = None) -> list[BaseRoute]:
    """Without `autosave` nothing that writes."""
    routes = _Routes(snapshots, readers, autosave)
    reading: list[tuple[str, str, http.Answer]] = [
        ("GET", "/snapshots", routes.listing),
        ("GET", "/snapshots/{version}/tree", routes.tree),
        ("GET", "/snapshots/{version}/file", routes.file),
        ("GET", "/snapshots/{version}/zip", routes.zip),
        ("GET", "/snapshots/{version}/search", routes.search),
        ("GET", "/snapshots/{version}/changes", routes.changes),
    ]
    found: list[BaseRoute] = [http.Endpoint(*asked, writes=False) for asked in reading]
    if autosave is not None:
        writing: list[tuple[str, str, http.Answer]] = [
            ("POST", "/snapshots", routes.take),
            ("PUT", "/snapshots/{version}/name", routes.name),
            ("POST", "/snapshots/{version}/restore", routes.restore),
        ]
        found += [http.Endpoint(*asked, writes=True) for asked in writing]
    return found


class _Routes:
    def __init__(self, snapshots: Snapshots, readers: VersionReaders, autosave: Autosave | None) -> None:
        self._snapshots = snapshots
        self._readers = readers
        self._autosave = autosave

    async def listing(self, request: Request) -> Response:
        before = address.query(request, "before", "") or None
        limit = max(1, min(address.number(request, "limit", LISTED), LISTED_MOST))
        path = address.query_path(request, "path", "")
        async with self._readers.turn(request):
            found = await self._snapshots.versions(before, limit, path)
        return http.Json({**found, "stored": asdict(self._autosave.state) if self._autosave else None})

    async def take(self, request: Request) -> Response:
        assert self._autosave is not None
        name = _name(http.field(await http.json_body(request, BODY_BYTES), "name", str, default=""))
        author = viewer_of(request.scope).name
        stored = await self._autosave.save("saved by hand", author)
        if name and stored.version:
            await self._snapshots.name(stored.version, name, author)
        return http.Json({"version": stored.version}, 201)

    async def name(self, request: Request) -> Response:
        name = _name(http.field(await http.json_body(request, BODY_BYTES), "name", str))
        await self._snapshots.name(request.path_params["version"], name, viewer_of(request.scope).name)
        return http.Json({"name": name})

    async def tree(self, request: Request) -> Response:
        path = address.query_path(request, "path", "")
        async with self._readers.turn(request):
            return http.Json({"path": path, **await self._snapshots.folder(request.path_params["version"], path)})

    async def file(self, request: Request) -> Response:
        path = address.query_path(request, "path", "")
        pieces = self._snapshots.read(request.path_params["version"], path)
        return await sent(self._readers.file(request, pieces), path.rpartition("/")[2])

    async def zip(self, request: Request) -> Response:
        version, path = request.path_params["version"], address.query_path(request, "path", "")
        name = path.rpartition("/")[2] or "workspace"
        return await sent(self._readers.zip(request, self._snapshots.zip(version, path)), f"{name} {version}.zip")

    async def search(self, request: Request) -> Response:
        async with self._readers.turn(request):
            return http.Json(await self._snapshots.search(request.path_params["version"], address.query(request, "q")))

    async def changes(self, request: Request) -> Response:
        version = request.path_params["version"]
        since = address.query(request, "since", "") or None
        async with self._readers.turn(request):
            return http.Json(await self._snapshots.changes(version, since))

    async def restore(self, request: Request) -> Response:
        fields = await http.json_body(request, BODY_BYTES)
        path = address.checked(http.field(fields, "path", str, default=""))
        assert self._autosave is not None
        version = request.path_params["version"]
        return http.Json(await self._autosave.restore(version, path, viewer_of(request.scope).name))


async def sent(pieces: AsyncGenerator[bytes, None], name: str) -> Response:
    """Always an attachment."""
    first = await anext(pieces, b"")  # what is not there is an answer, not a cut connection
    headers = {**transfer.SAFE_HEADERS, "Content-Disposition": transfer.disposition(name)}
    return StreamingResponse(_all(first, pieces), headers=headers, media_type="application/octet-stream")


async def _one_of(semaphore: asyncio.Semaphore, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    if semaphore.locked():
        raise busy("Its versions are being downloaded already.")
    async with semaphore, aclosing(pieces):
        async for piece in pieces:
            yield piece


async def _all(first: bytes, pieces: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    async with aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def _name(name: str) -> str:
    name = " ".join(name.split())
    if len(name) > NAME_CHARS or not (name.isprintable() or not name):
        raise DevexError("bad_name", f"A name has at most {NAME_CHARS} characters.", "Choose another name.")
    return name
