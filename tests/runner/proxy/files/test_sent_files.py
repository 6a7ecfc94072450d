"""Content that goes out: never as a page, in ranges, as a ZIP, no longer than it is read."""

import asyncio
import io
import os
import zipfile
from pathlib import Path

import httpx
import pytest

from runner.proxy.files import routes
from runner.workspace.archive import Memory
from tests.runner.proxy.files.serving import MIB, code


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


async def test_zips_share_the_memory_they_hold(
    client: httpx.AsyncClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "big").write_bytes(os.urandom(64 * MIB))
    monkeypatch.setattr(routes, "ZIP_MEMORY", Memory(3 * MIB // 2))  # a small folder claims a little more than 1 MiB
    async with client.stream("GET", "zip") as first:
        pieces = first.aiter_raw()  # kept: an iterator that is dropped closes its answer
        await anext(pieces)
        second = await client.get("zip")
        assert (second.status_code, code(second)) == (503, "busy")
    async with asyncio.timeout(30):
        while (again := await client.get("zip")).status_code == 503:
            pass
    assert zipfile.ZipFile(io.BytesIO(again.content)).namelist() == ["big"]


def opened_files() -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        except OSError:
            continue
    return found
