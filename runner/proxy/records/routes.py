"""Routes to what terminals have said. A record is {id, kind: "shell"|"run", title, command, who: {id, name},
started_at, ended_at, exit: {status, signal, lost?}, duration_s, peak_bytes, stopped, forced, cols, rows, run, bytes,
missing}, with null for what is not known, or not yet: `exit` also of a terminal that was closed. `stopped`: somebody
ended it; `forced`: it had to be killed; `run`: it can be run again; `bytes` are kept, `missing` ones were written and
are not.

- `GET records?kind=` -> {records}, the newest first
- `GET records/{id}` -> the record and `gaps`, [[from, to], …], the first 1000 places where bytes are missing
- `GET records/{id}/output?last=N` the bytes as they were written, or the last lines within N of them. Headers:
  `Devex-Offset` of the first byte, `Devex-Missing`, how many are missing behind it
- `GET records/{id}/text` without control sequences, `GET records/{id}/cast` as asciicast v2; attachments
- `GET records/search?q=` -> {matches: [{id, line, column, length, text, at}], cut_off}, as `GET search`, in the text,
  of the newest record first; `cut_off`: there is more, or there was no more time
- `DELETE records/{id}` -> 204, of one that is not running; `DELETE records` -> 204, all of those
"""

import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runner.errors import DevexError
from runner.fair_semaphore import FairSemaphore
from runner.proxy import http
from runner.proxy.files import address, transfer
from runner.proxy.records import rendering
from runner.proxy.records.disk import Disk
from runner.proxy.records.records import Records
from runner.viewer import viewer_of
from runner.workspace.search import MAX_MATCHES_PER_FILE, Match, matches_in, needle_of

SEARCH_BUDGET_S: Final = 3.0  # all records of a REPL take about one
MATCHES: Final = 200  # in one answer: who has more searches for more of the line
READ, READ_BY_ONE = 2, 1  # whole records at a time, and by one person: forty would keep the loop waiting

Look = Callable[[Request], Awaitable[tuple[Disk, Collection[str]]]]
Remove = Callable[[Request], Awaitable[None]]
T = TypeVar("T")


def reading_semaphore() -> FairSemaphore:
    """Of who reads whole records, for all REPLs of a process."""
    return FairSemaphore(READ, READ_BY_ONE)


def recorded_routes(records: Records, semaphore: FairSemaphore) -> list[BaseRoute]:
    """Of a running REPL."""

    async def look(_: Request) -> tuple[Disk, Collection[str]]:
        await records.synced()
        return records.disk, records.live()

    async def remove(request: Request) -> None:
        await records.remove(request.path_params["id"])

    async def remove_all(_: Request) -> None:
        await records.remove_all()

    return [*_reading(look, semaphore), *_removing(remove, remove_all)]


def kept_routes(folder: Path, semaphore: FairSemaphore) -> list[BaseRoute]:
    """Of one that does not run."""

    async def look(request: Request) -> tuple[Disk, Collection[str]]:
        disk = Disk(folder, may_write=False)
        await _in_thread(semaphore, request, disk.load)
        return disk, ()

    async def remove(request: Request) -> None:
        disk, _ = await look(request)
        await to_thread.run_sync(disk.remove, request.path_params["id"])

    async def remove_all(request: Request) -> None:
        disk, _ = await look(request)
        await to_thread.run_sync(disk.remove_all, ())

    return [*_reading(look, semaphore), *_removing(remove, remove_all)]


def _removing(remove: Remove, remove_all: Remove) -> list[BaseRoute]:
    def answering(do: Remove) -> http.Answer:
        async def answer(request: Request) -> Response:
            await do(request)
            return Response(status_code=204)

        return answer

    return [
        http.Endpoint("DELETE", "/records", answering(remove_all), writes=True),
        http.Endpoint("DELETE", "/records/{id}", answering(remove), writes=True),
    ]


async def _in_thread(semaphore: FairSemaphore, request: Request, read: Callable[[], T]) -> T:
    """When this person has the semaphore."""
    async with semaphore.acquire(viewer_of(request.scope).user_id):
        return await to_thread.run_sync(read)


def _reading(look: Look, semaphore: FairSemaphore) -> list[BaseRoute]:
    async def listing(request: Request) -> Response:
        disk, live = await look(request)
        kind = address.query(request, "kind", "") or None
        return http.Json({"records": await to_thread.run_sync(disk.listing, live, kind)})

    async def search(request: Request) -> Response:
        needle = needle_of(address.query(request, "q"))
        disk, _ = await look(request)
        return http.Json(await _in_thread(semaphore, request, lambda: _search(disk, needle)))

    async def one(request: Request) -> Response:
        disk, live = await look(request)
        return http.Json(await _in_thread(semaphore, request, lambda: disk.look(request.path_params["id"], live)))

    async def output(request: Request) -> Response:
        disk, _ = await look(request)
        most_bytes = address.number(request, "last", 0)
        record_id = request.path_params["id"]
        body, start, missing = await _in_thread(semaphore, request, lambda: _output(disk, record_id, most_bytes))
        headers = {"Devex-Offset": str(start), "Devex-Missing": str(missing)}
        return _attachment(body, "application/octet-stream", f"{record_id}.log", headers)

    async def text(request: Request) -> Response:
        disk, _ = await look(request)
        record_id = request.path_params["id"]
        found = await _in_thread(semaphore, request, lambda: rendering.text(disk.entries(record_id)))
        return _attachment(found.encode(), "text/plain; charset=utf-8", f"{record_id}.txt", {})

    async def cast(request: Request) -> Response:
        disk, live = await look(request)
        record_id = request.path_params["id"]
        found = await _in_thread(
            semaphore, request, lambda: b"".join(rendering.cast(disk.look(record_id, live), disk.entries(record_id)))
        )
        return _attachment(found, "application/x-asciicast", f"{record_id}.cast", {})

    routes: list[tuple[str, http.Answer]] = [
        ("/records", listing),
        ("/records/search", search),
        ("/records/{id}", one),
        ("/records/{id}/output", output),
        ("/records/{id}/text", text),
        ("/records/{id}/cast", cast),
    ]
    return [http.Endpoint("GET", path, answer, writes=False) for path, answer in routes]


def _output(disk: Disk, record_id: str, most_bytes: int) -> tuple[bytes, int, int]:
    """-> all of it, or the last `most_bytes`; the offset of its first byte; how many bytes are missing in it."""
    return rendering.tail(disk.entries(record_id), most_bytes or disk.end(record_id))


def _search(disk: Disk, needle: str) -> dict[str, Any]:
    ends_at = time.monotonic() + SEARCH_BUDGET_S
    found: list[dict[str, Any]] = []
    cut_off = False
    for record in disk.listing(()):
        if time.monotonic() > ends_at or len(found) >= MATCHES:
            return {"matches": found[:MATCHES], "cut_off": True}
        with suppress(DevexError):  # it became too old meanwhile
            matches = matches_in(record["id"], rendering.text(disk.entries(record["id"])).encode(), needle)
            cut_off = cut_off or len(matches) == MAX_MATCHES_PER_FILE
            found += [{"id": match.path, **_place(match)} for match in matches]
    return {"matches": found[:MATCHES], "cut_off": cut_off or len(found) > MATCHES}


def _place(match: Match) -> dict[str, Any]:
    return {name: value for name, value in match._asdict().items() if name != "path"}


def _attachment(body: bytes, media_type: str, name: str, headers: dict[str, str]) -> Response:
    safe = {**transfer.SAFE_HEADERS, "Content-Disposition": transfer.disposition(name)}
    return Response(body, headers={**safe, **headers}, media_type=media_type)
