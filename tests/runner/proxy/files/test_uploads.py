"""Content that comes in: large, too much, cut, continued."""

import asyncio
import hashlib
import os
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from runner.documents.rooms import Rooms
from runner.proxy.files.routes import file_routes
from runner.workspace import Workspace
from tests.runner.proxy.files.serving import LIMITS, MIB, QUOTA, Seen, code, noise, sha


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
            at: dict[str, str | int] = {**query, "size": len(data), "offset": offset}
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
    query: dict[str, str | int] = {"path": "", "name": "f", "size": 10, "offset": 0}
    await client.put("uploads/abcdef01", params=query, content=b"12345")
    assert len(os.listdir(root)) == 1
    assert (await client.delete("uploads/abcdef01", params=query)).status_code == 204
    assert (await client.delete("uploads/abcdef01", params=query)).status_code == 204
    answer = await client.put("uploads/abcdef01", params=query, content=b"12345678901")
    assert (answer.status_code, code(answer)) == (400, "size")
    query["size"] = 500 * MIB
    assert (await client.put("uploads/abcdef01", params=query, content=b"1")).status_code == 413
    assert os.listdir(root) == []
