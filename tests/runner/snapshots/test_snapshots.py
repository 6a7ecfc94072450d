"""What a server asks of versions, done by the real worker."""

from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.stores.store import Fenced
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.shelf import a_shelf


async def test_a_version_is_taken_listed_compared_read_named_and_restored(snapshots: Snapshots, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / "a.txt").write_text("one")
    first = await snapshots.take("ada", "by hand")
    (root / "a.txt").write_text("two!")
    (root / "b.txt").write_text("new")
    second = await snapshots.take("bob", "by hand")
    await snapshots.name(first["version"], "release", "ada")
    listed = (await snapshots.versions(None, 10))["versions"]
    assert [(one["version"], one["author"], one["name"]) for one in listed] == [
        ("1-2", "bob", ""),
        ("1-1", "ada", "release"),
    ]
    assert await snapshots.versions("1-2", 10) == {"versions": [listed[1]], "next": None}
    assert await snapshots.versions(None, 1) == {"versions": [listed[0]], "next": "1-2"}
    assert await snapshots.versions(None, 10, "b.txt") == {"versions": [listed[0]], "next": None}
    assert await snapshots.changes("1-2", None) == {
        "changes": [["a.txt", ["f", 3], ["f", 4]], ["b.txt", None, ["f", 3]]], "more": False,
    }  # fmt: skip
    assert await snapshots.folder("1-1", "") == {"entries": [["a.txt", "f", 3]], "complete": True}
    assert b"".join([piece async for piece in snapshots.read("1-1", "a.txt")]) == b"one"
    done = await snapshots.restore(first["version"], "", "ada")
    assert {path.name: path.read_text() for path in root.iterdir()} == {"a.txt": "one"}
    assert (done["files"], done["removed"]) == (1, 1)
    assert second["version"] in [one["version"] for one in (await snapshots.versions(None, 10))["versions"]]


async def test_what_is_not_there_is_said(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "a").write_text("one")
    await snapshots.take("ada", "")
    for asked in (
        snapshots.folder("1-9", ""),
        snapshots.folder("1-1", "nowhere"),
        snapshots.restore("7-7", "", "ada"),
        snapshots.name("7-7", "x", "ada"),
        snapshots.name("../..", "x", "ada"),
        anext(snapshots.read("1-1", "a/b")),
    ):
        with pytest.raises(DevexError) as raised:
            await asked
        assert raised.value.status == 404


async def test_who_is_outdated_is_told_apart(workers: Workers, snapshots: Snapshots, tmp_path: Path) -> None:
    await Snapshots(workers, a_shelf(tmp_path, epoch=2)).take("ada", "")
    (tmp_path / "workspace" / "a").write_text("one")
    with pytest.raises(Fenced) as raised:
        await snapshots.take("ada", "")
    assert raised.value.action
