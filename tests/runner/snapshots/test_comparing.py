"""What differs between two versions, and which versions changed one path."""

from datetime import timedelta

import pytest

from runner.snapshots import compare
from runner.snapshots.collect import collect
from runner.snapshots.compare import changes, changing
from runner.snapshots.layout import Name
from tests.runner.snapshots.place import NOW, Place


async def test_differences(place: Place) -> None:
    (place.root / "d").mkdir()
    for name in ("same", "changed", "gone", "d/gone", "kind"):
        (place.root / name).write_text("old")
    first = await place.history.open((await place.take()).version)
    (place.root / "changed").write_text("newer")
    (place.root / "gone").unlink()
    (place.root / "d" / "gone").unlink()
    (place.root / "d").rmdir()
    (place.root / "kind").unlink()
    (place.root / "kind").mkdir()
    (place.root / "kind" / "new").write_text("new")
    second = await place.history.open((await place.take()).version)
    found = {path: (a and a.kind, b and b.kind) async for path, a, b in changes(first, second)}
    assert found == {
        "changed": ("f", "f"),
        "gone": ("f", None),
        "d": ("d", None),
        "d/gone": ("f", None),
        "kind": ("f", "d"),
        "kind/new": (None, "f"),
    }


async def test_versions_that_changed_one_path_are_found_among_many(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "LOOKED_AT", 4)
    (place.root / "sub").mkdir()
    wanted: list[str] = []
    for number in range(10):
        (place.root / "other").write_text(str(number))
        if number in (2, 7):
            (place.root / "sub" / "file").write_text(str(number))
        if number == 8:
            (place.root / "sub" / "file").unlink()
        version = (await place.take()).version
        if number in (2, 7, 8):
            wanted.insert(0, version)
    versions = await place.history.versions()
    found: list[str] = []
    left: list[str] = versions
    while True:
        commits, last = await changing(place.history, left, "sub/file", 2)
        found += [commit.version for commit in commits]
        if last is None:
            break
        left = versions[versions.index(last) + 1 :]
    assert found == wanted
    assert await changing(place.history, versions, "nowhere/at/all", 2) == ([], versions[3])
    assert await changing(place.history, [], "sub/file", 2) == ([], None)


async def test_versions_that_changed_a_path_are_found_after_what_was_packed_anew(place: Place) -> None:
    (place.root / "file").write_text("one")
    first = await place.take()
    await place.history.set_name(first.version, Name(name="kept", author="ada", at=NOW.isoformat()))
    for number in range(30):
        (place.root / "other").write_text(str(number))
        await place.take()
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60))
    (place.root / "file").write_text("two")
    last = await place.take()
    commits, _ = await changing(place.history, await place.history.versions(), "file", 10)
    assert [commit.version for commit in commits] == [last.version, first.version]
