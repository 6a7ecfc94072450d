"""ZIP files of versions and searches in them, in the real worker, after the workspace is gone."""

import asyncio
import io
import os
import shutil
import stat
import zipfile
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots import archive, search
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.reads import ZIPS, ZIPS_OF_ONE
from runner.snapshots.worker.workers import Workers
from runner.workspace import Workspace
from runner.workspace.archive import Memory
from runner.workspace.search import MAX_MATCHES, MAX_MATCHES_PER_FILE, search_text
from tests.runner.snapshots.place import a_place
from tests.runner.snapshots.shelf import a_shelf

LARGE_BYTES = (9 << 20) + 123
FILES = 300


async def zipped(snapshots: Snapshots, version: str, path: str = "") -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join([piece async for piece in snapshots.zip(version, path)])))


async def test_a_zip_holds_what_the_version_holds(snapshots: Snapshots, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    large = os.urandom(LARGE_BYTES)
    (root / "deep/er").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "nothing").touch()
    (root / "deep/er/näme 😀.txt").write_text("inner")
    (root / "deep/large").write_bytes(large)
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("/etc/passwd")
    for number in range(FILES):
        (root / f"deep/{number}").write_bytes(os.urandom(1000))
    os.utime(root / "run.sh", (1_000_000_000, 1_000_000_000))
    version = (await snapshots.take("", ""))["version"]
    shutil.rmtree(root)
    found = await zipped(snapshots, version)
    assert found.testzip() is None
    assert found.read("deep/large") == large
    assert found.read("deep/er/näme 😀.txt") == b"inner"
    assert found.read("nothing") == b""
    assert found.read("link") == b"/etc/passwd"
    assert stat.S_ISLNK(found.getinfo("link").external_attr >> 16)
    assert stat.S_IMODE(found.getinfo("run.sh").external_attr >> 16) == 0o755
    assert found.getinfo("run.sh").date_time == (2001, 9, 9, 1, 46, 40)
    assert found.getinfo("empty/").is_dir()
    assert len(found.namelist()) == FILES + 8
    part = await zipped(snapshots, version, "deep/er")
    assert part.namelist() == ["näme 😀.txt"]


async def test_what_cannot_be_zipped_is_said(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace/file").write_text("x")
    version = (await snapshots.take("", ""))["version"]
    for name, path, status in ((version, "nowhere", 404), (version, "file", 409), ("9-9", "", 404)):
        with pytest.raises(DevexError) as refused:
            await zipped(snapshots, name, path)
        assert refused.value.status == status


@pytest.mark.parametrize(("bound", "most"), [("ZIP_BYTES", 9), ("ZIP_ENTRIES", 1), ("HELD_BYTES", 2_000)])
async def test_what_is_too_large_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(archive, bound, most)
    async with a_place(tmp_path) as place:
        (place.root / "a").write_bytes(b"12345")
        (place.root / "b").write_bytes(b"12345")
        version = await place.history.open((await place.take()).version)
        with pytest.raises(DevexError) as refused:
            await anext(archive.zip_pieces(version, ""))
    assert (refused.value.code, refused.value.status) == ("too_large", 413)


async def test_zips_share_the_memory_they_hold(tmp_path: Path) -> None:
    """Of a folder with long paths, gigabytes; whoever leaves in the middle gives back what it held."""
    memory = Memory(10 * archive.ENTRY_BYTES)
    async with a_place(tmp_path) as place:
        for number in range(3):
            (place.root / f"{number}{'x' * 200}").write_bytes(os.urandom(1 << 20))
        version = await place.history.open((await place.take()).version)
        first = archive.zip_pieces(version, "", memory)
        await anext(first)
        second = archive.zip_pieces(version, "", memory)
        await anext(second)
        with pytest.raises(DevexError) as refused:
            await anext(archive.zip_pieces(version, "", memory))
        assert (refused.value.code, refused.value.retryable) == ("busy", True)
        await first.aclose()
        assert len([piece async for piece in archive.zip_pieces(version, "", memory)]) > 1
        await second.aclose()
    memory.claim(10 * archive.ENTRY_BYTES)  # nothing is held any more


async def test_a_search_lists_no_more_than_it_may_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "FOUND_BYTES", 2 * search.ENTRY_BYTES)
    async with a_place(tmp_path) as place:
        for number in range(3):
            (place.root / f"{number}").write_text(f"needle {number}")
        version = await place.history.open((await place.take()).version)
        found = await search.search(version, "needle")
    assert ([match.path for match in found.matches], found.complete) == (["0"], False)


async def test_so_many_zips_are_made_at_a_time_and_a_reader_that_leaves_ends_one(
    workers: Workers, tmp_path: Path
) -> None:
    """Of one REPL not as many as of all."""
    shelf = a_shelf(tmp_path)
    repls = [Snapshots(workers, replace(shelf, prefix=f"r{n}", cache=tmp_path / f"{n}.db")) for n in range(3)]
    for number in range(4):
        (tmp_path / f"workspace/{number}").write_bytes(os.urandom(5 << 20))
    (version,) = {(await snapshots.take("", ""))["version"] for snapshots in repls}

    async def refused(snapshots: Snapshots) -> None:
        with pytest.raises(DevexError) as error:
            await anext(snapshots.zip(version, ""))
        assert (error.value.code, error.value.status, error.value.retryable) == ("busy", 503, True)

    slow: list[AsyncGenerator[bytes, None]] = []
    for snapshots in repls[: ZIPS // ZIPS_OF_ONE]:
        for _ in range(ZIPS_OF_ONE):
            slow.append(snapshots.zip(version, ""))
            await anext(slow[-1])
        await refused(snapshots)
    await refused(repls[-1])
    assert (await repls[0].search(version, "x"))["complete"] is True
    for pieces in slow:
        await pieces.aclose()
    async with asyncio.timeout(30):
        while True:  # until the worker has heard that they left
            try:
                found = await zipped(repls[-1], version)
            except DevexError:
                continue
            break
    assert len(found.namelist()) == 4


async def test_a_search_finds_what_it_finds_in_a_workspace(snapshots: Snapshots, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / "sub").mkdir()
    (root / "node_modules").mkdir()
    (root / "a.py").write_text("first\n  The Needle, and a needle\n")
    (root / "sub/b.py").write_text("x" * 5000 + "needle" + "y" * 5000)
    (root / "node_modules/c.js").write_text("needle")
    (root / "binary").write_bytes(b"\0needle")
    (root / "large").write_bytes(b"needle" + b" " * (2 << 20))
    version = (await snapshots.take("", ""))["version"]
    with Workspace(root) as workspace:
        there = search_text(workspace, "needle")
    found = await snapshots.search(version, "needle")
    assert found == {"matches": [match._asdict() for match in sorted(there.matches)], "complete": True}
    assert [(one["path"], one["line"], one["column"]) for one in found["matches"]] == [
        ("a.py", 2, 6), ("a.py", 2, 20), ("sub/b.py", 1, 5000),
    ]  # fmt: skip


async def test_a_search_with_too_many_finds_is_cut(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace/one").write_text("needle\n" * 200)
    version = (await snapshots.take("", ""))["version"]
    found = await snapshots.search(version, "needle")
    assert (len(found["matches"]), found["complete"]) == (MAX_MATCHES_PER_FILE, False)
    for number in range(20):
        (tmp_path / f"workspace/{number}").write_text("needle\n" * 90)
    version = (await snapshots.take("", ""))["version"]
    found = await snapshots.search(version, "needle")
    assert (len(found["matches"]), found["complete"]) == (MAX_MATCHES, False)
    for query in ("", "x" * 257, "a\nb"):
        with pytest.raises(DevexError):
            await snapshots.search(version, query)
