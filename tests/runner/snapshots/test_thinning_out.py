"""Old versions go, named ones stay, and what is left is whole."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.snapshots import layout
from runner.snapshots.collect import collect, make_room
from runner.snapshots.history import History
from runner.snapshots.layout import Name
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.store import StoreError
from runner.snapshots.verify import verify
from tests.runner.snapshots.place import NOW, Place


async def test_old_versions_go_and_what_is_left_stays_whole(place: Place) -> None:
    """Packs of which little is alive are written anew, also for older versions that are kept."""
    for number in range(40):
        (place.root / f"f{number}").write_bytes(os.urandom(40_000))
    first = await place.take()
    for round_ in range(5):
        for number in range(round_, 40):
            (place.root / f"f{number}").write_bytes(os.urandom(40_000))
        await place.take()
    before = sum(one.size_bytes for one in await place.history.objects(""))
    collected = await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    after = sum(one.size_bytes for one in await place.history.objects(""))
    assert collected.versions == 5
    assert after < before / 3
    assert (await verify(place.history)).problems == []
    assert first.version not in await place.history.versions()
    (place.root / "f0").write_text("and it goes on")
    await place.take()
    assert (await verify(place.history)).problems == []


async def test_named_versions_stay(place: Place) -> None:
    from runner.snapshots.layout import Name

    (place.root / "a").write_text("release")
    named = await place.take()
    await place.history.set_name(named.version, Name(name="1.0", author="ada", at=NOW.isoformat()))
    for text in ("two", "three"):
        (place.root / "a").write_text(text)
        await place.take()
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    assert named.version in await place.history.versions()
    assert (await place.history.names())[named.version].name == "1.0"
    assert await (await place.history.open(named.version)).read("a", 100) == b"release"
    await place.history.set_name(named.version, None)
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    assert named.version not in await place.history.versions()


class Broken(DirectoryStore):
    """Does nothing of one kind any more."""

    breaks = ""

    async def create(self, key: str, data: bytes) -> None:
        if self.breaks == "create":
            raise StoreError("It broke.", retryable=False)
        await super().create(key, data)

    async def delete(self, keys: Sequence[str]) -> None:
        if self.breaks == "delete":
            raise StoreError("It broke.", retryable=False)
        await super().delete(keys)


@pytest.mark.parametrize(("breaks", "left"), [("create", "1.0"), ("delete", "2.0")])
async def test_a_rename_that_is_cut_off_loses_no_name(place: Place, tmp_path: Path, breaks: str, left: str) -> None:
    (place.root / "a").write_text("release")
    version = (await place.take()).version
    async with Broken(tmp_path / "store") as store:
        history = History(store, place.history.prefix)
        await history.set_name(version, Name(name="1.0", author="ada", at="2026-01-01T00:00:00.000+00:00"))
        store.breaks = breaks
        with pytest.raises(StoreError):
            await history.set_name(version, Name(name="2.0", author="ada", at="2026-01-01T00:00:00.001+00:00"))
        assert (await history.names())[version].name == left
        assert await history.named() == {version}
        store.breaks = ""
        await history.set_name(version, Name(name="3.0", author="ada", at="2026-01-01T00:00:00.002+00:00"))
        assert {one: name.name for one, name in (await history.names()).items()} == {version: "3.0"}
        await history.set_name(version, None)
        assert await history.named() == set()


async def test_what_is_young_is_not_collected(place: Place) -> None:
    """It may be of a snapshot that is on its way."""
    (place.root / "a").write_text("one")
    await place.take()
    await place.history.store.create("r1/p/" + "0" * 40, b"on its way")
    await collect(place.history, place.cache, 1, datetime.now(UTC))
    assert await place.history.store.get("r1/p/" + "0" * 40) == b"on its way"


async def test_very_many_versions_are_thinned_out_as_they_come(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not hours later: each is read for that."""
    monkeypatch.setattr("runner.snapshots.collect.MANY", 10)
    monkeypatch.setattr("runner.snapshots.retention.ALL_MOST", 5)
    sooner = 0
    for number in range(40):
        (place.root / "a").write_text(str(number))
        if done := await make_room(place.history, place.cache, 1, datetime.now(UTC), 1 << 40):
            sooner += done.sooner
        await place.take()
        assert len(await place.history.versions()) <= 5 + 2 + 11
    assert sooner > 20
    assert (await verify(place.history)).problems == []


async def test_a_commit_that_came_back_after_it_was_replaced_keeps_nothing_from_being_thinned_out(place: Place) -> None:
    """By a signature that was good for some minutes more: what it names is gone."""
    (place.root / "a").write_bytes(os.urandom(40_000))
    await place.take()
    (place.root / "a").write_bytes(os.urandom(40_000))
    replaced = await place.take()
    key = place.history.key(layout.commit_key(replaced.version))
    old = await place.history.store.get(key)
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    (tidy,) = await place.history.versions()
    await place.history.store.create(key, old)
    collected = await collect(place.history, place.cache, 1, NOW, young=timedelta(0))
    assert collected.versions == 1
    assert await place.history.versions() == [tidy]
    assert (await verify(place.history)).problems == []
