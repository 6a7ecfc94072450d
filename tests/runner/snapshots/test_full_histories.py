"""The room of a history: what fills it is thinned out, what has a name stays."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots.retention import NAMES
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.workers import Workers
from runner.workspace import Usage
from tests.runner.snapshots.shelf import a_shelf


async def test_a_program_that_rewrites_all_fills_its_history_and_not_the_store(
    workers: Workers, tmp_path: Path
) -> None:
    """What was kept by a name stays whole, and so does the newest version; the rest is thinned out, which is said."""
    room = 10 << 20
    snapshots = Snapshots(workers, replace(a_shelf(tmp_path), limit=Usage(room // 10, 100)))
    chance = random.Random(1)
    path = tmp_path / "workspace" / "random"
    crowded: set[str | None] = set()
    named, release, newest = "", b"", b""
    for number in range(40):
        path.write_bytes(newest := chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        crowded.add(taken["crowded"])
        if number == 2:
            named, release = taken["version"], newest
            await snapshots.name(named, "release", "ada")
        assert stored_bytes(tmp_path) < room + (2 << 20)
    assert len(crowded) > 1
    assert all(why is None or "were removed sooner than usual: the history has room for 0.0" in why for why in crowded)
    listed = [one["version"] for one in (await snapshots.versions(None, 100))["versions"]]
    assert 4 <= len(listed) <= 12
    assert listed[-1] == named
    assert (await snapshots.verify())["problems"] == []
    assert b"".join([piece async for piece in snapshots.read(named, "random")]) == release
    assert b"".join([piece async for piece in snapshots.read(listed[0], "random")]) == newest


async def test_names_take_no_more_than_the_room_of_a_history(workers: Workers, tmp_path: Path) -> None:
    room = 10 << 20
    snapshots = Snapshots(workers, replace(a_shelf(tmp_path), limit=Usage(room // 10, 100)))
    chance = random.Random(1)
    refused = None
    named: list[str] = []
    while refused is None:
        (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        try:
            await snapshots.name(taken["version"], "release", "ada")
            named.append(taken["version"])
        except DevexError as error:
            refused = error
        assert len(named) <= 11
    assert (refused.code, len(named)) == ("history_full", 10)
    await snapshots.name(named[0], "a name of its own", "ada")  # it has its room already
    taken = {}
    for _ in range(3):
        (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        assert stored_bytes(tmp_path) < room + (3 << 20)
    assert taken["crowded"].startswith("The versions with a name fill")
    listed = [one["version"] for one in (await snapshots.versions(None, 100))["versions"]]
    assert listed[0] == taken["version"]
    assert set(named) <= set(listed)
    assert (await snapshots.verify())["problems"] == []
    for version in named[:8]:
        await snapshots.name(version, "", "ada")
    (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
    version = (await snapshots.take("ada", ""))["version"]
    await snapshots.name(version, "again", "ada")
    assert stored_bytes(tmp_path) < room


async def test_so_many_versions_have_a_name(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "a").write_text("one")
    version = (await snapshots.take("ada", ""))["version"]
    (tmp_path / "store" / "r1" / "n").mkdir()
    for number in range(NAMES):
        (tmp_path / "store" / "r1" / "n" / f"7-{number}-{'0' * 40}").write_bytes(b"not even read")
    with pytest.raises(DevexError) as refused:
        await snapshots.name(version, "release", "ada")
    assert refused.value.code == "history_full"
    assert [one["name"] for one in (await snapshots.versions(None, 10))["versions"]] == [""]
    (tmp_path / "store" / "r1" / "n" / f"7-1-{'0' * 40}").unlink()
    await snapshots.name(version, "release", "ada")


async def test_of_two_who_name_at_once_one_gets_the_last_name(snapshots: Snapshots, tmp_path: Path) -> None:
    versions = []
    for text in "ab":
        (tmp_path / "workspace" / "a").write_text(text)
        versions.append((await snapshots.take("ada", ""))["version"])
    (tmp_path / "store" / "r1" / "n").mkdir()
    for number in range(NAMES - 1):
        (tmp_path / "store" / "r1" / "n" / f"7-{number}-{'0' * 40}").write_bytes(b"not even read")
    asked = [snapshots.name(version, "release", "ada") for version in versions]
    refused = [error for error in await asyncio.gather(*asked, return_exceptions=True) if error is not None]
    assert [error.code for error in refused if isinstance(error, DevexError)] == ["history_full"]
    listed = (await snapshots.versions(None, 10))["versions"]
    assert sorted(one["name"] for one in listed) == ["", "release"]


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
