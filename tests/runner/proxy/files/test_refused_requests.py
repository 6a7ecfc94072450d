"""Who may not, what leads elsewhere, and what is no request."""

import os
from pathlib import Path
from typing import Final

import httpx
from starlette.applications import Starlette

from runner.proxy.files.routes import file_routes
from runner.viewer import Viewer
from runner.workspace import Workspace
from tests.runner.proxy.files.serving import LIMITS, Seen, code, raw, served

ELSEWHERE: Final = [
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
]


async def test_paths_that_lead_elsewhere(client: httpx.AsyncClient, port: int, root: Path) -> None:
    for path in ELSEWHERE:
        for method in ("GET", "PUT", "DELETE", "PATCH"):
            body = b'{"base": "", "splices": []}' if method == "PATCH" else b""
            status, answer = await raw(port, f"{method} /repls/x/files/{path} HTTP/1.1", body)
            assert status in {400, 404}, (path, answer)
            assert b"another REPL" not in answer
        for target in (f"tree?path={path}", f"zip?path={path}"):
            status, answer = await raw(port, f"GET /repls/x/{target} HTTP/1.1")
            assert status == 400, (path, answer)
        for target in (f"path={path}&name=f", f"path=&name={path}"):
            upload = f"PUT /repls/x/uploads/12345678?{target}&size=0&offset=0 HTTP/1.1"
            assert (await raw(port, upload))[0] == 400, path
        assert (root.parent / "ab" / "f").read_text() == "another REPL's"
        assert os.listdir(root) == []


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


BAD: Final = [
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
]


async def test_bad_requests_are_named(client: httpx.AsyncClient) -> None:
    for method, target, body in BAD:
        answer = await client.request(method, target, content=body)
        assert (target, answer.status_code) == (target, 400)
        assert code(answer)


async def test_large_json_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("mkdir", content=b" " * 100_000)
    assert (answer.status_code, code(answer)) == (413, "too_large")
