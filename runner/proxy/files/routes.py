"""Routes to the files of a REPL. Paths are relative to the workspace; errors are {error: {code, message, action, id}}.

Bytes that are no UTF-8: `%ff` in addresses, lone surrogates (`"\\udcff"`) in JSON. `files?path=` does what
`files/{path}` does, also for names with a line end, which routers refuse to match.

- `GET tree?path=dir` -> {path, rev, entries: [[name, "f"|"d"|"l"|"o", size, shown?]], complete}
- `GET|HEAD files/{path}` bytes; ETag is the SHA-256 (of huge files a stamp), one Range, always an attachment
- `PUT files/{path}` body -> {path, digest, size}, 201 when new. `If-Match: digest`, `If-None-Match: *` -> 412. Folders
  on the way are made, so a folder is uploaded file by file.
- `PATCH files/{path}` {base, splices: [[start byte, bytes to delete, "text"]]} -> {digest, size}; 412 when base differs
- `DELETE files/{path}`, folders with all that is in them; `POST mkdir` {path}; `POST move` {from, to, overwrite?}. What
  is open in editors goes along.
- `uploads/{id}?path=&name=` continues after a cut, a reload or a restart. The id (8 to 48 of 0-9a-z) is the browser's,
  best made of name, size and time. `GET` -> {offset}; `PUT ...&size=N&offset=K` with the bytes from K on, in one or
  several requests -> {offset, done} and, when done, {path, digest}; 409 `offset` when K is not where it is;
  `DELETE` gives up. Half uploads are swept after a day.
- `GET zip?path=dir` a ZIP made while it is sent; links are stored as links
- `GET find?q=` -> {paths, complete}, best first; `GET search?q=` -> {matches, complete}, each match
  {path, line, column, length, text, at}
- `GET places?path=&path=&cwd=` -> {found: [path or null for each], home}: the files that paths printed by a program
  mean, which ran in `cwd` if that is known; at most 16. `home` is the workspace as programs see it
- `GET usage` -> {bytes, entries, limit_bytes, limit_entries}
"""

import os
import time
from bisect import bisect
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runner.documents.rooms import Rooms
from runner.errors import DevexError
from runner.fair_semaphore import FairSemaphore
from runner.proxy import http
from runner.proxy.files import address, places, transfer
from runner.proxy.files.uploads import Uploads
from runner.viewer import viewer_of
from runner.workspace import Splice, Stat, TreeWatcher, Workspace, apply_splices
from runner.workspace.archive import HELD_BYTES, Memory, check_size, zip_pieces
from runner.workspace.drafts import CHUNK_BYTES, changed, digest_of
from runner.workspace.search import FOUND, MAX_FILES, file_paths, rank, search_text
from runner.workspace.tree import MAX_LISTED
from runner.workspace.workspace import digest

T = TypeVar("T")

PATCH_FILE_BYTES: Final = 32 << 20  # held in memory twice
PATCH_BODY_BYTES: Final = 8 << 20
SMALL_BODY_BYTES: Final = 64 << 10  # two paths
ETAG_BYTES: Final = 256 << 20  # hashing this much takes about 0.3 s; larger files are named by inode, size and time
LISTED_CHARACTERS: Final = 2 << 20  # of the names in one answer; each may take 6 bytes and be shown in as many
LISTINGS: Final = 2  # at a time; more wait
FILE_LIST_S: Final = 3.0  # while somebody types in "go to file", the names are read once
ZIP_MEMORY: Final = Memory(512 << 20)  # of all ZIPs of this process, while they are sent
ZIP_GROWTH: Final = 2, 1 << 20  # what a folder may grow meanwhile: programs go on writing
HEAVY, HEAVY_OF_ONE = 3, 2  # searches, listings of names and size counts at a time, and of one person; more wait


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLimits:
    file_bytes: int = 2 << 30  # one upload
    zip_bytes: int = 8 << 30  # one download of a folder, before compression


DEFAULT_LIMITS: Final = FileLimits()


def file_routes(
    workspace: Workspace,
    limits: FileLimits = DEFAULT_LIMITS,
    *,
    rooms: Rooms | None = None,
    watcher: TreeWatcher | None = None,
    heavy: FairSemaphore | None = None,
    on_write: Callable[[str], None] = lambda name: None,
    before_read: Callable[[str], Awaitable[None]] | None = None,
    home: str = "/workspace",
) -> list[BaseRoute]:
    """Without `rooms`, nothing that changes files. Writing needs scope["devex.viewer"].can_write; `on_write` is
    told who did. `before_read` may bring a file back that is not there yet. `heavy` bounds the searches at a time,
    `heavy_semaphore` of this workspace if it is not said. `home` is the workspace as programs see it.
    """
    files = Files(workspace, limits, watcher, heavy or heavy_semaphore(), before_read, home=home)
    reading: list[tuple[str, str, http.Answer]] = [
        ("GET", "/tree", files.tree),
        ("GET", "/files/{path:path}", files.get),
        ("GET", "/files", files.get),
        ("GET", "/zip", files.zip),
        ("GET", "/find", files.find),
        ("GET", "/search", files.search),
        ("GET", "/places", files.places),
        ("GET", "/usage", files.usage),
    ]
    found: list[BaseRoute] = [http.Endpoint(*asked, writes=False) for asked in reading]
    if rooms is None:
        return found
    edits = Edits(workspace, rooms, on_write)
    uploads = Uploads(workspace, limits.file_bytes, on_write)
    writing: list[tuple[str, str, http.Answer]] = [
        ("PUT", "/files/{path:path}", uploads.put),
        ("PATCH", "/files/{path:path}", edits.patch),
        ("DELETE", "/files/{path:path}", edits.delete),
        ("PUT", "/files", uploads.put),
        ("PATCH", "/files", edits.patch),
        ("DELETE", "/files", edits.delete),
        ("POST", "/mkdir", edits.mkdir),
        ("POST", "/move", edits.move),
        ("GET", "/uploads/{id}", uploads.offset),
        ("PUT", "/uploads/{id}", uploads.piece),
        ("DELETE", "/uploads/{id}", uploads.discard),
    ]
    return found + [http.Endpoint(*asked, writes=True) for asked in writing]


def heavy_semaphore() -> FairSemaphore:
    """For `heavy`."""
    return FairSemaphore(HEAVY, HEAVY_OF_ONE)


class Files:
    """The endpoints that only read; each blocking call runs in a thread."""

    def __init__(
        self,
        workspace: Workspace,
        limits: FileLimits,
        watcher: TreeWatcher | None,
        heavy: FairSemaphore,
        before_read: Callable[[str], Awaitable[None]] | None,
        *,
        home: str,
    ) -> None:
        self._workspace = workspace
        self._home = home
        self._limits = limits
        self._watcher = watcher
        self._heavy = heavy
        self._heavy_threads = CapacityLimiter(HEAVY)  # its own: the process's forty are for everybody's small files
        self._before_read = before_read
        self._listing = CapacityLimiter(LISTINGS)
        self._names: tuple[float, list[str]] = (0.0, [])

    async def _in_turn(self, request: Request, work: Callable[..., T], *given: object) -> T:
        """A blocking call, once it is this person's turn: nobody's hundred searches stand before another's file."""
        async with self._heavy.acquire(viewer_of(request.scope).user_id):
            return await to_thread.run_sync(work, *given, limiter=self._heavy_threads)

    async def tree(self, request: Request) -> Response:
        path = address.query_path(request, "path", "")
        rev = self._watcher.rev if self._watcher else 0  # before listing: a change in between is told again, not lost
        rows, complete = await to_thread.run_sync(self._rows, path, limiter=self._listing)
        return http.Json({"path": path, "rev": rev, "entries": rows, "complete": complete})

    def _rows(self, path: str) -> tuple[list[list[str | int]], bool]:
        entries = self._workspace.list_dir(path)
        ends = accumulate(len(entry.name) for entry in entries)
        shown = entries[: bisect(list(ends), LISTED_CHARACTERS)]
        return [entry.row() for entry in shown], len(shown) == len(entries) < MAX_LISTED

    async def get(self, request: Request) -> Response:
        path = address.file_path(request)
        if self._before_read is not None:
            await self._before_read(path)
        descriptor = await to_thread.run_sync(self._workspace.open_read, path)
        try:
            stat = Stat.of(os.fstat(descriptor))
            tag = await self._in_turn(request, _tag, descriptor, stat)
            headers = {
                **transfer.SAFE_HEADERS,
                "ETag": f'"{tag}"',
                "Accept-Ranges": "bytes",
                "Content-Disposition": transfer.disposition(path.rpartition("/")[2]),
            }
            if tag in [each.strip(' "W/') for each in request.headers.get("if-none-match", "").split(",")]:
                return Response(status_code=304, headers=headers)
            part = transfer.byte_range(request.headers.get("range", ""), stat.size_bytes)
            sent = part or range(stat.size_bytes)
            if part:
                headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{stat.size_bytes}"
            headers["Content-Length"] = str(len(sent))
            status = 206 if part else 200
            if request.method == "HEAD":
                return Response(status_code=status, headers=headers, media_type="application/octet-stream")
            return transfer.Stream(_FilePieces(os.dup(descriptor), sent), status, headers)
        finally:
            os.close(descriptor)

    async def zip(self, request: Request) -> Response:
        path = address.query_path(request, "path", "")
        zip_bytes, entries = self._limits.zip_bytes, self._workspace.quota.limit.entries
        await to_thread.run_sync(self._workspace.list_dir, path, 1)
        held = await self._in_turn(request, check_size, self._workspace, path, zip_bytes, entries)
        name = path.rpartition("/")[2] or "workspace"
        headers = {**transfer.SAFE_HEADERS, "Content-Disposition": transfer.disposition(f"{name}.zip")}
        claimed = min(held * ZIP_GROWTH[0] + ZIP_GROWTH[1], HELD_BYTES)
        ZIP_MEMORY.claim(claimed)
        pieces = zip_pieces(self._workspace, path, zip_bytes, claimed)
        return transfer.Stream(_ZipPieces(pieces, claimed), 200, headers)

    async def find(self, request: Request) -> Response:
        wanted = address.query(request, "q", "")
        paths = await self._in_turn(request, self._find, wanted)
        return http.Json({"paths": paths, "complete": len(self._names[1]) < MAX_FILES})

    def _find(self, wanted: str) -> list[str]:
        return rank(self._paths(), wanted, FOUND)

    def _paths(self) -> list[str]:
        read_at, names = self._names
        if time.monotonic() - read_at > FILE_LIST_S:
            names = file_paths(self._workspace)
            self._names = (time.monotonic(), names)
        return names

    async def places(self, request: Request) -> Response:
        asked, cwd = address.queries(request, "path"), address.query(request, "cwd", "")
        if len(asked) > places.MOST:
            raise DevexError("bad_request", f"More than {places.MOST} paths are asked for.", "Ask for fewer.")
        found = await self._in_turn(request, lambda: [self._place(one, cwd) for one in asked])
        return http.Json({"found": found, "home": self._home})

    def _place(self, asked: str, cwd: str) -> str | None:
        for path in places.candidates(asked, cwd, self._home):
            if self._is_file(path):
                return path
        return places.the_one_that_ends_so(asked, self._paths())

    def _is_file(self, path: str) -> bool:
        try:
            return self._workspace.stat(path).kind == "f"
        except DevexError:
            return False

    async def search(self, request: Request) -> Response:
        wanted = address.query(request, "q")
        found = await self._in_turn(request, search_text, self._workspace, wanted)
        return http.Json({"matches": [match._asdict() for match in found.matches], "complete": found.complete})

    async def usage(self, request: Request) -> Response:
        quota = self._workspace.quota
        used = await self._in_turn(request, quota.used)
        return http.Json(
            {
                "bytes": used.disk_bytes,
                "entries": used.entries,
                "limit_bytes": quota.limit.disk_bytes,
                "limit_entries": quota.limit.entries,
            }
        )


class Edits:
    """The endpoints that change what is there already; new content comes through Uploads."""

    def __init__(self, workspace: Workspace, rooms: Rooms, on_write: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._rooms = rooms
        self._on_write = on_write

    async def patch(self, request: Request) -> Response:
        path = address.file_path(request)
        fields = await http.json_body(request, PATCH_BODY_BYTES)
        base, splices = http.field(fields, "base", str), http.field(fields, "splices", list)
        name, stat = await to_thread.run_sync(self._patch, path, base, splices)
        self._on_write(viewer_of(request.scope).name)
        return http.Json({"digest": name, "size": stat.size_bytes})

    def _patch(self, path: str, base: str, items: list[Any]) -> tuple[str, Stat]:
        splices = _splices(items)
        old = self._workspace.read(path, PATCH_FILE_BYTES)
        if digest(old) != base:
            raise changed(path)
        new = apply_splices(old, splices)
        return digest(new), self._workspace.write_atomic(path, new, expect=base)

    async def delete(self, request: Request) -> Response:
        path = address.file_path(request)
        await self._rooms.remove(path)
        self._on_write(viewer_of(request.scope).name)
        return Response(status_code=204)

    async def mkdir(self, request: Request) -> Response:
        fields = await http.json_body(request, SMALL_BODY_BYTES)
        path = address.checked(http.field(fields, "path", str))
        await to_thread.run_sync(self._make_folder, path)
        self._on_write(viewer_of(request.scope).name)
        return http.Json({"path": path}, 201)

    def _make_folder(self, path: str) -> None:
        self._workspace.quota.claim(0, 1)
        self._workspace.mkdir(path, parents=True)

    async def move(self, request: Request) -> Response:
        fields = await http.json_body(request, SMALL_BODY_BYTES)
        source, target = (address.checked(http.field(fields, name, str)) for name in ("from", "to"))
        overwrite = http.field(fields, "overwrite", bool, default=False)
        await self._rooms.move(source, target, overwrite=overwrite)
        self._on_write(viewer_of(request.scope).name)
        return http.Json({"path": target})


def _tag(descriptor: int, stat: Stat) -> str:
    if stat.size_bytes <= ETAG_BYTES:
        return digest_of(descriptor)
    return f"{stat.inode:x}-{stat.size_bytes:x}-{stat.mtime_ns:x}"


class _FilePieces:
    """A file that got shorter meanwhile ends the connection: the browser must not take it for the whole."""

    def __init__(self, descriptor: int, sent: range) -> None:
        self._descriptor = descriptor
        self._left = sent

    def __next__(self) -> bytes:
        if not self._left:
            raise StopIteration
        piece = os.pread(self._descriptor, min(CHUNK_BYTES, len(self._left)), self._left.start)
        if not piece:
            raise DevexError("changed", "The file got shorter while it was sent.", "Download it again.", status=500)
        self._left = self._left[len(piece) :]
        return piece

    def close(self) -> None:
        os.close(self._descriptor)


class _ZipPieces:
    """Gives back what was claimed of ZIP_MEMORY."""

    def __init__(self, pieces: Generator[bytes, None, None], claimed_bytes: int) -> None:
        self._pieces = pieces
        self._claimed_bytes = claimed_bytes

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        try:
            self._pieces.close()
        finally:
            ZIP_MEMORY.give_back(self._claimed_bytes)


def _splices(items: list[Any]) -> list[Splice]:
    splices: list[Splice] = []
    for item in items:
        match item:
            case [int(start), int(delete), str(text)] if start >= 0 and delete >= 0:
                splices.append((start, delete, text.encode(errors="replace")))
            case _:
                raise DevexError("bad_splices", "A splice is [start, delete, text].", "Correct the request.")
    return splices
