"""Files are listed, read, written, changed, moved, deleted and found."""

import asyncio
import json
import os
import threading
from pathlib import Path

import httpx
import pytest
from anyio import to_thread
from starlette.applications import Starlette

from runner.documents.rooms import Rooms
from runner.proxy.files import routes
from runner.proxy.files.routes import LISTED_CHARACTERS, file_routes
from runner.viewer import Viewer
from runner.workspace import TreeDelta, TreeWatcher, Workspace
from runner.workspace.search import Matches
from tests.runner.proxy.files.serving import LIMITS, Seen, code, raw, served, sha
from tests.waiting import DEADLINE_S


async def test_write_read_change_delete(client: httpx.AsyncClient, root: Path) -> None:
    answer = await client.put("files/src/lib/a.txt", content=b"one two")
    assert (answer.status_code, answer.json()) == (201, {"path": "src/lib/a.txt", "digest": sha(b"one two"), "size": 7})
    answer = await client.put("files/src/lib/a.txt", content=b"one 2")
    assert answer.status_code == 200
    answer = await client.get("files/src/lib/a.txt")
    assert answer.content == b"one 2"
    assert answer.headers["etag"] == f'"{sha(b"one 2")}"'
    head = await client.head("files/src/lib/a.txt")
    assert (head.content, head.headers["content-length"]) == (b"", "5")
    cached = await client.get("files/src/lib/a.txt", headers={"If-None-Match": answer.headers["etag"]})
    assert (cached.status_code, cached.content) == (304, b"")
    change = {"base": sha(b"one 2"), "splices": [[0, 3, "eins"], [5, 0, "é"]]}
    answer = await client.patch("files/src/lib/a.txt", json=change)
    assert answer.json()["digest"] == sha("eins 2é".encode()) == sha((root / "src/lib/a.txt").read_bytes())
    answer = await client.patch("files/src/lib/a.txt", json=change)
    assert (answer.status_code, code(answer)) == (412, "changed")
    assert (await client.delete("files/src")).status_code == 204
    assert (await client.get("files/src/lib/a.txt")).status_code == 404
    assert os.listdir(root) == []


async def test_preconditions(client: httpx.AsyncClient) -> None:
    new = {"If-None-Match": "*"}
    assert (await client.put("files/f", content=b"1", headers=new)).status_code == 201
    assert (await client.put("files/f", content=b"2", headers=new)).status_code == 412
    assert (await client.put("files/f", content=b"2", headers={"If-Match": f'"{sha(b"0")}"'})).status_code == 412
    assert (await client.put("files/f", content=b"2", headers={"If-Match": "junk"})).status_code == 412
    assert (await client.put("files/f", content=b"2", headers={"If-Match": f'"{sha(b"1")}"'})).status_code == 200
    assert (await client.get("files/f")).content == b"2"


async def test_tree_mkdir_move(client: httpx.AsyncClient, root: Path) -> None:
    (root / "bad\udcff\n").write_text("xyz")
    (root / "link").symlink_to("/etc")
    assert (await client.post("mkdir", json={"path": "d/e"})).status_code == 201
    assert code(await client.post("mkdir", json={"path": "d/e"})) == "exists"
    listing = (await client.get("tree")).json()
    entries = {entry[0]: entry[1:] for entry in listing["entries"]}
    assert entries == {"bad\udcff\n": ["f", 3, "bad\\xff\\n"], "d": ["d", 0], "link": ["l", 0]}
    assert (listing["path"], listing["rev"], listing["complete"]) == ("", 0, True)
    move = json.dumps({"from": "bad\udcff\n", "to": "d/e/good"}).encode()
    assert (await client.post("move", content=move)).status_code == 200
    assert (await client.get("tree", params={"path": "d/e"})).json()["entries"] == [["good", "f", 3]]
    assert (await client.get("tree", params={"path": "link"})).status_code in {403, 409}
    await client.put("files/other", content=b"")
    answer = await client.post("move", json={"from": "other", "to": "d/e/good"})
    assert (answer.status_code, code(answer)) == (409, "exists")
    answer = await client.post("move", json={"from": "other", "to": "d/e/good", "overwrite": True})
    assert answer.status_code == 200


async def test_names_too_long_to_be_listed_all_are_cut(client: httpx.AsyncClient, root: Path) -> None:
    """Of 100,000 such names the answer would have 250 MiB."""
    fitting = LISTED_CHARACTERS // 250
    for n in range(fitting + 10):
        (root / f"{n:0>248}\udcff\udcff").touch()
    listing = (await client.get("tree")).json()
    assert (len(listing["entries"]), listing["complete"]) == (fitting, False)


async def test_what_is_open_goes_along(client: httpx.AsyncClient, rooms: Rooms) -> None:
    await client.put("files/d/a", content=b"text")
    room = await rooms.open("d/a")
    assert (await client.post("move", json={"from": "d", "to": "e"})).status_code == 200
    assert room.file.path == "e/a"
    assert (await client.delete("files/e")).status_code == 204
    assert room.file.ended == "missing"


async def test_a_listing_and_the_deltas_after_it_give_the_tree(
    app: Seen, workspace: Workspace, rooms: Rooms, root: Path
) -> None:
    deltas: asyncio.Queue[TreeDelta] = asyncio.Queue()
    async with TreeWatcher(workspace, on_delta=deltas.put_nowait, on_changed=lambda _: None) as watcher:
        app.app = Starlette(routes=file_routes(workspace, LIMITS, rooms=rooms, watcher=watcher))
        async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/") as client:
            assert (await asyncio.wait_for(deltas.get(), 30)).resync
            listing = (await client.get("tree")).json()
            assert (listing["rev"], listing["entries"]) == (1, [])
            await client.put("files/f", content=b"12345")
            delta = await asyncio.wait_for(deltas.get(), 30)
            assert delta == TreeDelta(2, [("", [["f", "f", 5]], [])])
            assert (await client.get("tree")).json()["rev"] == 2


async def test_names_that_are_no_utf8_or_markup(client: httpx.AsyncClient, port: int, root: Path) -> None:
    for name, files in (
        ("raw\udcff\udcfe", "files/raw%ff%fe"),
        ("<b>&", "files/%3Cb%3E%26"),
        ("a+b %41", "files/a+b%20%2541"),
        ("line\nend\n\udcff", "files?path=line%0Aend%0A%ff"),
    ):
        status, _ = await raw(port, f"PUT /repls/x/{files} HTTP/1.1", b"content")
        assert status == 201
        assert (root / name).read_bytes() == b"content"
        assert (await raw(port, f"GET /repls/x/{files} HTTP/1.1"))[1] == b"content"
        quoted = files.removeprefix("files").lstrip("/").removeprefix("?path=").replace("+", "%2B")
        status, answer = await raw(port, f"GET /repls/x/zip?path={quoted} HTTP/1.1")
        assert (status, json.loads(answer)["error"]["code"]) == (409, "not_a_folder")
        assert (await raw(port, f"DELETE /repls/x/{files} HTTP/1.1"))[0] == 204
    assert os.listdir(root) == []


async def test_find_and_search(client: httpx.AsyncClient, root: Path) -> None:
    await client.put("files/docs/domain.md", content=b"first\n")
    for path in ("src/main.py", "src/other.py"):
        await client.put(f"files/{path}", content=b"first\nimport needle\n")
    answer = (await client.get("find", params={"q": "mainpy"})).json()
    assert answer == {"paths": ["src/main.py"], "complete": True}
    answer = (await client.get("search", params={"q": "Needle"})).json()
    match = {"line": 2, "column": 7, "length": 6, "text": "import needle", "at": 7}
    assert answer == {
        "matches": [{"path": "src/main.py", **match}, {"path": "src/other.py", **match}],
        "complete": True,
    }


async def test_the_loop_stays_free(client: httpx.AsyncClient, root: Path) -> None:
    """While a large folder is searched, zipped and counted, other requests are answered in between."""
    for number in range(1_000):
        (root / str(number)).write_bytes(b"word " * 5_000)
    heavy = [asyncio.create_task(client.get(target)) for target in ("search?q=nothing", "zip", "usage", "find?q=1")]
    answered = 0
    while not all(task.done() for task in heavy):
        await client.put("files/small", content=b"x")
        answered += 1
    assert [task.result().status_code for task in heavy] == [200] * 4
    assert answered > 3


class Held:
    """Searches that wait until they `go_on`."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self._begun = threading.Semaphore(0)

    def search(self, workspace: Workspace, wanted: str) -> Matches:
        self._begun.release()
        self.go_on.wait(DEADLINE_S)
        return Matches([], True)

    async def begun(self, searches: int) -> None:
        for _ in range(searches):
            assert await asyncio.to_thread(self._begun.acquire, timeout=DEADLINE_S)


async def test_a_file_waits_behind_nobody_elses_searches(
    client: httpx.AsyncClient, app: Seen, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "main.py").write_text("pass\n")
    held = Held()
    monkeypatch.setattr(routes, "search_text", held.search)
    app.viewer = Viewer("eve", "Eve", can_write=False)
    searches = [asyncio.create_task(client.get("search", params={"q": "x"})) for _ in range(5)]
    await held.begun(routes.HEAVY_OF_ONE)
    app.viewer = Viewer("ada", "Ada", can_write=True)
    async with asyncio.timeout(DEADLINE_S):
        assert (await client.get("files/main.py")).content == b"pass\n"
    assert not any(one.done() for one in searches)
    held.go_on.set()
    assert {(await one).status_code for one in searches} == {200}


async def test_searches_take_no_thread_of_what_is_done_at_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty REPLs of a process would have them all: nobody's file came any more."""
    held = Held()
    monkeypatch.setattr(routes, "search_text", held.search)
    searches = [asyncio.create_task(client.get("search", params={"q": "x"})) for _ in range(routes.HEAVY_OF_ONE)]
    await held.begun(routes.HEAVY_OF_ONE)
    everybodys = to_thread.current_default_thread_limiter()
    free = everybodys.available_tokens
    held.go_on.set()
    assert {(await one).status_code for one in searches} == {200}
    assert free == everybodys.total_tokens
