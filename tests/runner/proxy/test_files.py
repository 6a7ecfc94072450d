"""The file routes over real sockets."""

import asyncio
import hashlib
import io
import json
import os
import socket
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.documents.rooms import Rooms
from runner.proxy.files.routes import FileLimits, file_routes
from runner.proxy.viewer import Viewer
from runner.workspace import TreeDelta, TreeWatcher, Usage, Workspace

MIB = 1 << 20
LIMITS = FileLimits(file_bytes=120 * MIB, zip_bytes=200 * MIB)
QUOTA = Usage(400 * MIB, 2_000)


class Seen:
    """Stands where the gateway does: says who is asking."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.viewer: Viewer | None = Viewer("u", "Ann", can_write=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.viewer is not None:
            scope["devex.viewer"] = self.viewer
        await self.app(scope, receive, send)


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        task = asyncio.create_task(server.serve([listener]), name="server")
        yield listener.getsockname()[1]
        server.should_exit = True
        await task


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "f").write_text("another REPL's")
    (tmp_path / "a").mkdir()
    with Workspace(tmp_path / "a", limit=QUOTA) as opened:
        yield opened


@pytest.fixture
def root(workspace: Workspace) -> Path:
    return workspace.root


@pytest.fixture
async def rooms(workspace: Workspace) -> AsyncIterator[Rooms]:
    async with Rooms(workspace, on_activity=lambda _: None) as rooms:
        yield rooms


@pytest.fixture
def app(workspace: Workspace, rooms: Rooms) -> Seen:
    return Seen(Starlette(routes=[Mount("/repls/x", routes=file_routes(workspace, LIMITS, rooms=rooms))]))


@pytest.fixture
async def port(app: Seen) -> AsyncIterator[int]:
    async with served(app) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/repls/x/", timeout=30) as client:
        yield client


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def code(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "action", "id"}
    assert error["message"]
    assert error["action"]
    return str(error["code"])


async def raw(port: int, head: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a request exactly as written; clients tidy up what attackers do not."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    status, _, content = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), content


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


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../ab/f",
            "..%2fab/f",
            "..%2Fab%2Ff",
            "%2e%2e/ab/f",
            "%252e%252e/ab/f",
            "%252e%252e%252fab%252ff",
            "./f",
            "a//f",
        ),
        *("%2fetc%2fpasswd", "/etc/passwd", "a/..", "f%00", "f%00.txt", "x" * 256, "a/" * 70 + "f", "..%5c..%5c%00"),
    ],
)
async def test_paths_that_lead_elsewhere(client: httpx.AsyncClient, port: int, root: Path, path: str) -> None:
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        body = b'{"base": "", "splices": []}' if method == "PATCH" else b""
        status, answer = await raw(port, f"{method} /repls/x/files/{path} HTTP/1.1", body)
        assert status in {400, 404}, answer
        assert b"another REPL" not in answer
    for target in (f"tree?path={path}", f"zip?path={path}"):
        status, answer = await raw(port, f"GET /repls/x/{target} HTTP/1.1")
        assert status == 400, answer
    for target in (f"path={path}&name=f", f"path=&name={path}"):
        upload = f"PUT /repls/x/uploads/12345678?{target}&size=0&offset=0 HTTP/1.1"
        assert (await raw(port, upload))[0] == 400
    assert (root.parent / "ab" / "f").read_text() == "another REPL's"
    assert os.listdir(root) == []


@pytest.mark.parametrize("name", ["evil.html", "evil.svg", "evil.xml", "evil.js", "\u202elmth.x"])
async def test_content_is_never_a_page(client: httpx.AsyncClient, name: str) -> None:
    await client.put(f"files/{name}", content=b"<script>alert(1)</script>")
    headers = (await client.get(f"files/{name}")).headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert "%E2%80%AE" not in headers["content-disposition"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("sandbox;")


async def test_ranges(client: httpx.AsyncClient) -> None:
    await client.put("files/f", content=bytes(range(100)))
    for asked, first, last in (("0-9", 0, 9), ("90-", 90, 99), ("-5", 95, 99), ("50-1000", 50, 99)):
        answer = await client.get("files/f", headers={"Range": f"bytes={asked}"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/100"
        assert answer.content == bytes(range(first, last + 1))
    assert (await client.get("files/f", headers={"Range": "bytes=100-"})).status_code == 416
    for whole in ("bytes=-", "bytes=0-1,5-6", "lines=1-2"):
        assert (await client.get("files/f", headers={"Range": whole})).status_code == 200


async def test_viewers_may_look_but_not_touch(app: Seen, client: httpx.AsyncClient, root: Path) -> None:
    (root / "f").write_text("kept")
    for app.viewer in (Viewer("u", "Bob", can_write=False), None):  # None: fail closed
        assert (await client.get("files/f")).content == b"kept"
        assert (await client.get("tree")).status_code == 200
        for method, target in [
            *(("PUT", "files/f"), ("PATCH", "files/f"), ("DELETE", "files/f"), ("POST", "mkdir"), ("POST", "move")),
            ("PUT", "uploads/12345678?path=&name=f&size=1&offset=0"),
        ]:
            answer = await client.request(method, target, content=b"x")
            assert (answer.status_code, code(answer)) == (403, "read_only")
    assert (root / "f").read_text() == "kept"


async def test_a_stopped_repl_has_no_writing_routes(workspace: Workspace, root: Path) -> None:
    (root / "f").write_text("kept")
    app = Seen(Starlette(routes=file_routes(workspace, LIMITS)))
    async with served(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/") as client:
        assert (await client.get("files/f")).content == b"kept"
        refused = await client.put("files/f", content=b"x")
        assert (refused.status_code, code(refused)) == (405, "no_such_method")
        assert (await client.post("move", json={})).status_code == 404


async def test_compressed_bodies_are_refused(client: httpx.AsyncClient, root: Path) -> None:
    answer = await client.put("files/f", content=b"bomb", headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, code(answer)) == (415, "compressed")
    assert os.listdir(root) == []


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "mkdir", b"not json"),
        ("POST", "mkdir", b"[]"),
        ("POST", "mkdir", b'{"path": 1}'),
        ("POST", "mkdir", b'{"path": "\\ud800"}'),
        ("POST", "mkdir", b"[" * 50_000),
        ("POST", "move", b'{"from": "a"}'),
        ("POST", "move", b'{"from": "f", "to": "g", "overwrite": 1}'),
        ("PATCH", "files/f", b'{"base": "x", "splices": [[-1, 0, ""]]}'),
        ("PATCH", "files/f", b'{"base": "x", "splices": [[0, 0, 5]]}'),
        ("PATCH", "files/f", b'{"base": "x", "splices": [[true, 0, "", 1]]}'),
        ("GET", "search", b""),
        ("GET", "search?q=", b""),
        ("PUT", "uploads/12345678?path=&size=1&offset=0", b""),
        ("PUT", "uploads/short?path=&name=f&size=1&offset=0", b""),
        ("PUT", "uploads/12345678?path=&name=f&size=-1&offset=0", b""),
        ("PUT", "uploads/12345678?path=&name=f&offset=0", b""),
    ],
)
async def test_bad_requests_are_named(client: httpx.AsyncClient, method: str, target: str, body: bytes) -> None:
    answer = await client.request(method, target, content=body)
    assert answer.status_code == 400
    assert code(answer)


async def test_large_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("mkdir", content=b" " * 100_000)
    assert (answer.status_code, code(answer)) == (413, "too_large")


async def noise(size: int) -> AsyncIterator[bytes]:
    piece = os.urandom(1 << 16)
    for _ in range(size >> 16):
        yield piece


async def test_a_100_mb_file_goes_in_and_out(client: httpx.AsyncClient, root: Path) -> None:
    answer = await client.put("files/big", content=noise(100 * MIB), headers={"Content-Length": str(100 * MIB)})
    assert answer.status_code == 201
    assert (root / "big").stat().st_size == 100 * MIB
    digest = hashlib.sha256()
    async with client.stream("GET", "files/big") as download:
        async for piece in download.aiter_bytes():
            digest.update(piece)
    assert download.headers["etag"] == f'"{digest.hexdigest()}"' == f'"{answer.json()["digest"]}"'


@pytest.mark.parametrize("announced", [True, False])
async def test_what_is_too_large_is_said(client: httpx.AsyncClient, root: Path, announced: bool) -> None:
    headers = {"Content-Length": str(130 * MIB)} if announced else {}
    answer = await client.put("files/big", content=noise(130 * MIB), headers=headers)
    assert (answer.status_code, code(answer)) == (413, "too_large")
    assert os.listdir(root) == []


async def test_quota(client: httpx.AsyncClient, root: Path) -> None:
    with (root / "used").open("wb") as used:
        os.posix_fallocate(used.fileno(), 0, 350 * MIB)
    for headers in ({"Content-Length": str(100 * MIB)}, {}):
        answer = await client.put("files/big", content=noise(100 * MIB), headers=headers)
        assert (answer.status_code, code(answer)) == (507, "quota")
    usage = (await client.get("usage")).json()
    assert usage["bytes"] >= 350 * MIB
    assert usage["limit_bytes"] == QUOTA.disk_bytes
    assert (await client.put("files/used", content=b"less")).status_code == 200
    assert (await client.put("files/more", content=noise(100 * MIB))).status_code == 201
    assert sorted(os.listdir(root)) == ["more", "used"]


async def test_a_cut_upload_leaves_the_old_file(client: httpx.AsyncClient, port: int, root: Path) -> None:
    await client.put("files/f", content=b"old")
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PUT /repls/x/files/f HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 4_000_000)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(30):
        while os.listdir(root) != ["f"]:
            await client.get("tree")
    assert (root / "f").read_text() == "old"


async def test_an_upload_is_continued(client: httpx.AsyncClient, port: int, root: Path) -> None:
    data = os.urandom(3 * MIB)
    query = {"path": "d", "name": "sub/big.bin"}
    upload = "uploads/abcdef0123456789"
    assert (await client.get(upload, params=query)).json() == {"offset": 0}
    # the line is cut in the middle of the first request
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"PUT /repls/x/{upload}?path=d&name=sub/big.bin&size={len(data)}&offset=0 HTTP/1.1\r\nHost: x\r\n"
    writer.write(head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data[: 2 * MIB])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    offset = 0
    async with asyncio.timeout(30):
        while not offset:
            offset = (await client.get(upload, params=query)).json()["offset"]
        while True:  # until the server has noticed the cut, the draft is being written
            at = {**query, "size": len(data), "offset": offset}
            answer = await client.put(upload, params=at, content=data[offset : offset + 1000])
            if answer.status_code != 409:
                break
            offset = (await client.get(upload, params=query)).json()["offset"]
    assert answer.json() == {"offset": offset + 1000, "done": False}
    answer = await client.put(upload, params=at, content=data[offset:])
    assert (answer.status_code, code(answer)) == (409, "offset")
    assert (await client.get("tree", params={"path": "d/sub"})).json()["entries"] == []
    at["offset"] = offset + 1000
    answer = await client.put(upload, params=at, content=data[offset + 1000 :])
    assert answer.status_code == 201
    assert answer.json() == {"offset": len(data), "done": True, "path": "d/sub/big.bin", "digest": sha(data)}
    assert (root / "d/sub/big.bin").read_bytes() == data
    assert os.listdir(root / "d/sub") == ["big.bin"]
    assert reader.at_eof() is not None


async def test_an_upload_is_given_up_or_overruns(client: httpx.AsyncClient, root: Path) -> None:
    query = {"path": "", "name": "f", "size": 10, "offset": 0}
    await client.put("uploads/abcdef01", params=query, content=b"12345")
    assert len(os.listdir(root)) == 1
    assert (await client.delete("uploads/abcdef01", params=query)).status_code == 204
    assert (await client.delete("uploads/abcdef01", params=query)).status_code == 204
    answer = await client.put("uploads/abcdef01", params=query, content=b"12345678901")
    assert (answer.status_code, code(answer)) == (400, "size")
    query["size"] = 500 * MIB
    assert (await client.put("uploads/abcdef01", params=query, content=b"1")).status_code == 413
    assert os.listdir(root) == []


async def test_zip(client: httpx.AsyncClient, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"content")
    (root / "d" / "passwd").symlink_to("/etc/passwd")
    for path, names in (("d", ["f", "passwd"]), ("", ["d/", "d/f", "d/passwd"])):
        answer = await client.get("zip", params={"path": path})
        assert answer.headers["content-disposition"].endswith(f"{path or 'workspace'}.zip")
        assert answer.headers["x-content-type-options"] == "nosniff"
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        assert sorted(archive.namelist()) == names
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    answer = await client.get("zip")
    assert (answer.status_code, code(answer)) == (413, "too_large")
    assert (await client.get("zip", params={"path": "none"})).status_code == 404


async def test_downloads_end_when_the_browser_goes(client: httpx.AsyncClient, root: Path) -> None:
    (root / "big").write_bytes(os.urandom(64 * MIB))
    for target in ("files/big", "zip"):
        async with client.stream("GET", target) as answer:
            await anext(answer.aiter_raw())
    async with asyncio.timeout(30):
        while any(target.endswith("/a/big") for target in opened_files()):
            await client.get("tree")


def opened_files() -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
    return found


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


async def test_full_disk(app: Seen, rooms: Rooms, client: httpx.AsyncClient, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = await asyncio.create_subprocess_exec("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk)
    assert await mount.wait() == 0
    try:
        with Workspace(disk) as small:
            app.app = Starlette(routes=[Mount("/repls/x", routes=file_routes(small, LIMITS, rooms=rooms))])
            assert (await client.put("files/f", content=b"kept")).status_code == 201
            answer = await client.put("files/f", content=b"x" * 5 * MIB)
            assert (answer.status_code, code(answer)) == (507, "disk_full")
            assert (await client.get("files/f")).content == b"kept"
    finally:
        unmount = await asyncio.create_subprocess_exec("umount", "--lazy", disk)  # a reader may just be closing
        assert await unmount.wait() == 0
