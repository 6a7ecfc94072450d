"""Folders that look as they did are not gone through again; whatever changes in one is in the next version."""

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.snapshots import scan
from runner.snapshots.cache import Cache, KnownFolder
from tests.runner.snapshots.jobs import picture
from tests.runner.snapshots.place import LONG_AGO_NS, Place, a_place, restored_elsewhere
from tests.runner.snapshots.programs import changes, do, inside


@pytest.fixture(autouse=True)
def no_file_is_too_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if RACY_NS had gone by after every change, which `tick` makes true of the clock's ticks."""
    monkeypatch.setattr(scan, "RACY_NS", -(10**18))


def tick(folder: Path) -> None:
    """Until a change has another time than those before."""
    probe = folder / "clock"
    probe.touch()
    begun_ns = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == begun_ns:
        probe.touch()


def known_folders(cache: Path) -> int:
    with closing(sqlite3.connect(cache)) as db:
        found: int = db.execute("SELECT count(*) FROM folder").fetchone()[0]
        return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, min_size=3, max_size=25))
async def test_every_version_is_what_was_there(script: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with a_place(folder) as place:
            for number, step in enumerate([*script, ("take",)]):
                if step[0] != "take":
                    if inside(place.root, step):
                        do(place.root, step)
                    continue
                tick(folder)
                version = (await place.take()).version
                assert await restored_elsewhere(place, version, folder / f"again{number}") == picture(place.root)


def rewritten(root: Path) -> None:
    """Same size, same time of modification."""
    (root / "a" / "file").write_text("TEXT")
    os.utime(root / "a" / "file", ns=(LONG_AGO_NS, LONG_AGO_NS))


def relinked(root: Path) -> None:
    (root / "a" / "link").unlink()
    (root / "a" / "link").symlink_to("elsewhere")


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": rewritten,
    "mode": lambda root: (root / "a" / "file").chmod(0o600),
    "time": lambda root: os.utime(root / "a" / "file", ns=(1, 1)),
    "name": lambda root: (root / "a" / "file").rename(root / "a" / "other"),
    "one more": lambda root: (root / "a" / "more").write_text("more"),
    "one less": lambda root: (root / "a" / "file").unlink(),
    "link": relinked,
    "an empty folder": lambda root: (root / "a" / "empty").mkdir(),
    "mode of a folder": lambda root: (root / "a" / "b").chmod(0o700),
    "far below": lambda root: (root / "a" / "b" / "c" / "file").write_text("deep"),
    "left out": lambda root: (root / ".devexignore").write_text("file\n"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_whatever_changes_in_a_folder(place: Place, tmp_path: Path, name: str) -> None:
    (place.root / "a" / "b" / "c").mkdir(parents=True)
    (place.root / "a" / "file").write_text("text")
    os.utime(place.root / "a" / "file", ns=(LONG_AGO_NS, LONG_AGO_NS))
    (place.root / "a" / "link").symlink_to("file")
    first = await place.take()
    assert known_folders(tmp_path / "cache.db") == 4
    assert (await place.take()).version == first.version
    tick(tmp_path)
    CHANGES[name](place.root)
    second = await place.take()
    assert second.version != first.version
    expected = picture(place.root)
    if name == "left out":
        del expected[b"a/file"]
    assert await restored_elsewhere(place, second.version, tmp_path / "again") == expected
    assert (await place.take()).version == second.version


async def test_what_is_to_be_noted_is_noted_every_time(place: Place, tmp_path: Path) -> None:
    (place.root / "a").mkdir()
    os.mkfifo(place.root / "a" / "pipe")
    (place.root / "one").write_text("text")
    os.link(place.root / "one", place.root / "two")
    first = await place.take()
    assert len(first.notes) == 3
    assert known_folders(tmp_path / "cache.db") == 0
    (place.root / "three").write_text("more")
    second = await place.take()
    assert (second.version, second.notes) == ("1-2", first.notes)


async def test_counts_are_those_of_all_files(place: Place, tmp_path: Path) -> None:
    (place.root / "a").mkdir()
    (place.root / "a" / "file").write_text("text")
    await place.take()
    (place.root / "more").write_text("more!")
    taken = await place.take()
    assert (taken.files, taken.size_bytes, taken.added) == (2, 9, 1)


async def test_folders_of_which_not_all_is_in_the_store_are_read_again(place: Place, tmp_path: Path) -> None:
    (place.root / "a").mkdir()
    (place.root / "a" / "file").write_text("text")
    await place.take()
    with Cache(tmp_path / "cache.db", "another store") as cache:
        place.cache = cache
        place.history = type(place.history)(place.history.store, "r2")
        version = (await place.take()).version
        assert await restored_elsewhere(place, version, tmp_path / "again") == picture(place.root)


def test_no_folder_is_believed_of_a_reading_that_was_cut_off() -> None:
    """Its trees may be stored without its chunks: moved out of sight meanwhile and back, it would look the same."""
    known = KnownFolder(("ab" * 20,), 1, 4)
    with Cache(None) as cache:
        cache.begin_reading()
        cache.remember_folder(b"a", b"look", known)
        cache.end_reading()
        assert cache.known_folder(b"a", b"look") == known
        assert cache.known_folder(b"a", b"another") is None
        cache.begin_reading()
        assert cache.known_folder(b"a", b"look") == known
        cache.begin_reading()
        assert cache.known_folder(b"a", b"look") is None
