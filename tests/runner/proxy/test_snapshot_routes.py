"""Versions through the proxy's routes, with a real worker and a real store."""

import asyncio
import io
import os
import shutil
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from runner.documents.disk import NotEditable
from runner.proxy.snapshots import FILES_OF_LOOKERS, ZIPS_OF_LOOKERS
from runner.snapshots.bringing_back import BEFORE_STOP
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.worker.workers import Workers
from runner.workspace import Usage
from tests.runner.proxy.stage import Stage

READER = {"X-Test-Role": "reader"}


@pytest.fixture
async def saving(stage: Stage, tmp_path: Path) -> AsyncIterator[Stage]:
    async with Workers() as workers:
        shelf = Shelf(
            store=spec_of(tmp_path / "store"), prefix="r1", workspace=stage.workspace, owner=None,
            limit=Usage(1 << 30, 10_000), cache=tmp_path / "cache.db", epoch=3,
        )  # fmt: skip
        stage.snapshots = Snapshots(workers, shelf)
        await stage.restart_proxy()
        yield stage
        await stage.proxy.__aexit__(None, None, None)


async def test_a_version_is_made_seen_compared_and_brought_back(saving: Stage) -> None:
    http = saving.http
    await http.put("/files/a.txt", content=b"one")
    first = (await http.post("/snapshots", json={"name": "before the change"})).json()["version"]
    await http.put("/files/a.txt", content=b"two")
    await http.put("/files/sub/b.txt", content=b"new")
    second = (await http.post("/snapshots", json={})).json()["version"]
    listed = (await http.get("/snapshots")).json()
    assert [(one["version"], one["name"]) for one in listed["versions"]] == [(second, ""), (first, "before the change")]
    assert listed["stored"]["version"] == second
    assert listed["next"] is None
    of_one = (await http.get("/snapshots?path=sub/b.txt")).json()
    assert [one["version"] for one in of_one["versions"]] == [second]
    assert listed["stored"]["problem"] is None
    assert {one["author"] for one in listed["versions"]} == {"Una"}
    changes = (await http.get(f"/snapshots/{second}/changes")).json()["changes"]
    assert [path for path, _, _ in changes] == ["a.txt", "sub", "sub/b.txt"]
    assert (await http.get(f"/snapshots/{first}/file?path=a.txt")).content == b"one"
    assert ["sub", "d", 0] in (await http.get(f"/snapshots/{second}/tree")).json()["entries"]
    done = (await http.post(f"/snapshots/{first}/restore", json={"path": "a.txt"})).json()
    assert (done["files"], done["notes"]) == (1, [])
    assert (await http.get("/files/a.txt")).content == b"one"
    assert (await http.get("/files/sub/b.txt")).content == b"new"


async def test_what_a_restore_did_is_safe_when_it_is_done(saving: Stage) -> None:
    http = saving.http
    await http.put("/files/a.txt", content=b"one")
    first = (await http.post("/snapshots", json={})).json()["version"]
    await http.put("/files/a.txt", content=b"two")
    await http.put("/files/sub/b.txt", content=b"new")
    async with saving.events() as told_of_files, saving.events() as events:
        done = (await http.post(f"/snapshots/{first}/restore", json={})).json()
        while not any("sub" in removed for _, _, removed in (await told_of_files.next("tree"))["ops"]):
            pass
        told = await events.next("restoring")
        while not told["done"]:
            assert (told["path"], told["problem"]) == ("", None)
            told = await events.next("restoring")
        assert (told["files"], told["of_files"], told["bytes"]) == (1, 1, 3)
    listed = (await http.get("/snapshots")).json()
    newest = listed["versions"][0]
    assert (newest["version"], newest["message"]) == (done["version"], f"restored everything of {first}")
    assert listed["versions"][1]["message"] == f"before restoring {first}"
    stored = listed["stored"]
    assert (stored["version"], stored["changed_at"], stored["saving"]) == (done["version"], None, None)
    assert stored["at"] <= newest["at"]


async def test_a_restore_ends_whole_when_who_asked_has_left(saving: Stage) -> None:
    http = saving.http
    await http.put("/files/a.txt", content=b"one")
    first = (await http.post("/snapshots", json={})).json()["version"]
    await http.put("/files/a.txt", content=b"two")
    assert saving.proxy._autosave
    async with saving.events() as events:
        restoring = asyncio.create_task(saving.proxy._autosave.restore(first, "", "Una"))
        told = await events.next("restoring")
        restoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restoring
        while not told["done"]:
            told = await events.next("restoring")
    assert (await http.get("/files/a.txt")).content == b"one"
    assert (await http.get("/snapshots")).json()["versions"][0]["message"] == f"restored everything of {first}"


async def test_what_the_save_itself_wrote_is_no_change_after_it(saving: Stage) -> None:
    (saving.workspace / "a.txt").write_text("by a program")
    version = (await saving.http.post("/snapshots", json={})).json()["version"]
    async with saving.events() as events:
        stored = (await events.next("hello"))["stored"]
        assert (stored["version"], stored["changed_at"], stored["changed"]) == (version, None, [])
        (saving.workspace / "a.txt").write_text("and again")
        assert (changed_at := (await events.next("stored"))["changed_at"]) is not None
        told = await events.next("stored")
        assert (told["changed_at"], told["changed"]) == (changed_at, ["a.txt"])


async def test_a_version_is_downloaded_and_searched(saving: Stage) -> None:
    http = saving.http
    await http.put("/files/sub/a.txt", content=b"one needle")
    version = (await http.post("/snapshots", json={})).json()["version"]
    await http.delete("/files/sub")
    answer = await http.get(f"/snapshots/{version}/zip?path=sub")
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''sub%20{version}.zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as found:
        assert found.read("a.txt") == b"one needle"
    matches = (await http.get(f"/snapshots/{version}/search?q=Needle")).json()
    assert [(one["path"], one["line"]) for one in matches["matches"]] == [("sub/a.txt", 1)]
    assert matches["complete"] is True


async def test_who_may_only_look_restores_and_names_nothing(saving: Stage) -> None:
    version = (await saving.http.post("/snapshots", json={})).json()["version"]
    assert (await saving.http.get("/snapshots", headers=READER)).status_code == 200
    for method, path in (("POST", ""), ("POST", f"/{version}/restore"), ("PUT", f"/{version}/name")):
        answer = await saving.http.request(method, f"/snapshots{path}", json={"name": "x"}, headers=READER)
        assert answer.status_code == 403


WRONG: Final = [
    ("GET", "/9-9/tree", None, 404),
    ("GET", "/3-1/file?path=nowhere", None, 404),
    ("GET", "/3-1/file?path=../x", None, 400),
    ("GET", "/3-1/changes?since=7-7", None, 404),
    ("GET", "/9-9/zip", None, 404),
    ("GET", "/3-1/zip?path=nowhere", None, 404),
    ("GET", "/3-1/zip?path=../x", None, 400),
    ("GET", "/3-1/search", None, 400),
    ("GET", "/3-1/search?q=", None, 400),
    ("POST", "/9-9/restore", {}, 404),
    ("POST", "/3-1/restore", {"path": "/etc/passwd"}, 400),
    ("PUT", "/3-1/name", {"name": "x" * 101}, 400),
    ("PUT", "/3-1/name", {}, 400),
    ("GET", "?limit=many", None, 400),
]


async def test_what_is_wrong_is_said(saving: Stage) -> None:
    await saving.http.post("/snapshots", json={})
    for method, path, body, status in WRONG:
        answer = await saving.http.request(method, f"/snapshots{path}", json=body)
        assert (path, answer.status_code) == (path, status)
        assert answer.json()["error"]["message"]


async def test_a_run_saves_first_and_everybody_is_told(saving: Stage) -> None:
    async with saving.events() as events:
        hello = await events.next("hello")
        assert hello["stored"]["version"] is None
        await saving.http.put("/files/a.txt", content=b"one")
        await saving.http.post("/run", json={})
        while True:
            told = await events.next("stored")
            if told["version"] and not told["saving"]:
                break
    assert (await saving.http.get(f"/snapshots/{told['version']}/file?path=a.txt")).content == b"one"


async def test_an_empty_workspace_gets_its_newest_version_back(saving: Stage, tmp_path: Path) -> None:
    """As a new pod does: nothing is saved before, and a marker keeps what was deleted since from coming back."""
    for number in range(50):
        await saving.http.put(f"/files/d{number % 5}/f{number}", content=f"text {number}".encode())
    version = (await saving.http.post("/snapshots", json={})).json()["version"]
    await saving.proxy.__aexit__(None, None, None)
    for entry in list(saving.workspace.iterdir()):
        if entry.is_dir():
            shutil.rmtree(entry)
    await saving.restart_proxy(restored=tmp_path / "restored")
    assert (await saving.http.post("/snapshots", json={})).json()["version"] == version
    assert (await saving.http.get("/files/d4/f49")).content == b"text 49"
    async with saving.events() as events:
        restoring = (await events.next("hello"))["restoring"]
        assert (restoring["files"], restoring["of_files"], restoring["done"]) == (50, 50, True)
        assert (restoring["path"], restoring["cut_off"]) == (None, True)
        assert restoring["at"] == (await saving.http.get("/snapshots")).json()["versions"][0]["at"]
    await saving.http.delete("/files/d4")
    await saving.restart_proxy()
    assert (await saving.http.post("/snapshots", json={})).status_code == 201
    assert (await saving.http.get("/files/d4/f49")).status_code == 404


async def test_a_file_that_is_opened_comes_before_the_others(saving: Stage, tmp_path: Path) -> None:
    """The store cannot read one of the others for now: large ones come after it."""
    text = "line\n" * 900_000  # more than one chunk: large files come last
    await saving.http.put("/files/deep/down/large.txt", content=text.encode())
    await saving.http.post("/snapshots", json={})
    packs = tmp_path / "store" / "r1" / "p"
    before = set(packs.iterdir())
    await saving.http.put("/files/small.txt", content=b"small")
    await saving.proxy.save(BEFORE_STOP)
    (lost,) = set(packs.iterdir()) - before
    await saving.proxy.__aexit__(None, None, None)
    (saving.workspace / "small.txt").unlink()
    shutil.rmtree(saving.workspace / "deep")
    lost.rename(tmp_path / "lost")
    lost.symlink_to(lost)
    await saving.restart_proxy(restored=tmp_path / "restored")
    room = await saving.proxy._rooms.open("deep/down/large.txt")
    assert room.file.document.text() == text.encode()
    with pytest.raises(NotEditable):
        await saving.proxy._rooms.open("small.txt")
    with pytest.raises(NotEditable):
        await saving.proxy._rooms.open("of no version.txt")
    async with saving.events() as events:
        told = (await events.next("hello"))["restoring"]
        assert told["done"] is False
        (tmp_path / "lost").rename(lost)
        while not told["done"]:
            told = await events.next("restoring")
    assert (await saving.http.get("/files/deep/down/large.txt")).text == text
    assert (await saving.http.get("/files/small.txt")).text == "small"


async def test_nothing_was_lost_where_a_version_was_the_last_word(saving: Stage, tmp_path: Path) -> None:
    await saving.http.put("/files/a.txt", content=b"one")
    await saving.proxy.save(BEFORE_STOP)
    await saving.proxy.__aexit__(None, None, None)
    (saving.workspace / "a.txt").unlink()
    await saving.restart_proxy(restored=tmp_path / "restored")
    async with saving.events() as events:
        told = (await events.next("hello"))["restoring"]
        while not (told and told["done"]):
            told = await events.next("restoring")
    assert told["cut_off"] is False


async def test_nothing_is_saved_over_what_could_not_be_brought_back(saving: Stage, tmp_path: Path) -> None:
    await saving.http.put("/files/a.txt", content=b"one")
    version = (await saving.http.post("/snapshots", json={})).json()["version"]
    await saving.proxy.__aexit__(None, None, None)
    (saving.workspace / "a.txt").unlink()
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    await saving.restart_proxy(restored=tmp_path / "restored")
    async with saving.events() as events:
        told = (await events.next("hello"))["restoring"]
        while not (told and told["problem"]):
            told = await events.next("restoring")
        assert (await saving.http.get("/tree")).status_code == 200  # it can be looked at and typed into meanwhile
        assert (await saving.http.post("/terminals", json={"cols": 80, "rows": 24})).status_code == 201
        asked = asyncio.create_task(saving.http.post("/snapshots", json={}))
        (tmp_path / "elsewhere").rename(tmp_path / "store")
        while not told["done"]:
            told = await events.next("restoring")
    assert (await asked).json()["version"] == version
    assert (await saving.http.get("/files/a.txt")).content == b"one"


async def test_a_store_that_fails_is_said_and_the_files_are_still_there(saving: Stage, tmp_path: Path) -> None:
    await saving.http.post("/snapshots", json={})
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    await saving.http.put("/files/a.txt", content=b"one")
    answer = await saving.http.post("/snapshots", json={})
    assert answer.status_code == 503
    assert answer.json()["error"]["action"]
    async with saving.events() as events:
        stored = (await events.next("hello"))["stored"]
        assert stored["problem"] == answer.json()["error"]["message"]
        assert stored["changed_at"] is not None
    (tmp_path / "elsewhere").rename(tmp_path / "store")
    assert (await saving.http.post("/snapshots", json={})).status_code == 201
    assert (await saving.http.get("/snapshots")).json()["stored"]["problem"] is None


@pytest.mark.parametrize(("download", "most"), [("file?path=large", FILES_OF_LOOKERS), ("zip", ZIPS_OF_LOOKERS)])
async def test_who_may_only_look_leaves_downloads_to_those_who_edit(saving: Stage, download: str, most: int) -> None:
    await saving.http.put("/files/large", content=os.urandom(32 << 20))  # more than lies in sockets
    version = (await saving.http.post("/snapshots", json={})).json()["version"]
    path = f"/snapshots/{version}/{download}"
    async with AsyncExitStack() as stack:
        for _ in range(most):
            held = await stack.enter_async_context(saving.http.stream("GET", path, headers=READER))
            assert held.status_code == 200
        assert (await saving.http.get(path, headers=READER)).status_code == 503
        assert (await saving.http.get(path)).status_code == 200
