"""The newest version of a REPL whose files lie nowhere else, read as `files.routes` serves those on a disk.

- `GET tree`, `GET files/{path}`, `GET zip`, `GET find`, `GET search` and `GET usage`
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runner.errors import DevexError
from runner.proxy import http
from runner.proxy.files import address
from runner.proxy.snapshots import VersionReaders, sent
from runner.snapshots.snapshots import Snapshots
from runner.workspace import Usage


class NoFiles(DevexError):
    def __init__(self) -> None:
        super().__init__("no_files", "Its files are gone.", "Fork a version: see its history.", status=404)


def stored_routes(snapshots: Snapshots, readers: VersionReaders, limit: Usage) -> list[BaseRoute]:
    async def head() -> dict[str, object]:
        found = await snapshots.head()
        if found is None:
            raise NoFiles
        return found

    async def tree(request: Request) -> Response:
        path = address.query_path(request, "path", "")
        async with readers.turn(request):
            return http.Json({"path": path, "rev": 0, **await snapshots.folder(_version(await head()), path)})

    async def file(request: Request) -> Response:
        path = address.checked(request.path_params["path"])
        pieces = snapshots.read(_version(await head()), path)
        return await sent(readers.file(request, pieces), path.rpartition("/")[2])

    async def zip(request: Request) -> Response:
        path = address.query_path(request, "path", "")
        name = path.rpartition("/")[2] or "workspace"
        pieces = snapshots.zip(_version(await head()), path)
        return await sent(readers.zip(request, pieces), f"{name}.zip")

    async def find(request: Request) -> Response:
        async with readers.turn(request):
            return http.Json(await snapshots.find(_version(await head()), address.query(request, "q", "")))

    async def search(request: Request) -> Response:
        async with readers.turn(request):
            return http.Json(await snapshots.search(_version(await head()), address.query(request, "q")))

    async def usage(_: Request) -> Response:
        found = await head()
        used = {"bytes": found["size_bytes"], "entries": found["files"]}
        return http.Json({**used, "limit_bytes": limit.disk_bytes, "limit_entries": limit.entries})

    routes: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/tree", tree),
        ("/files/{path:path}", file),
        ("/zip", zip),
        ("/find", find),
        ("/search", search),
        ("/usage", usage),
    ]
    return [http.Endpoint("GET", path, answer, writes=False) for path, answer in routes]


def _version(head: dict[str, object]) -> str:
    return str(head["version"])
