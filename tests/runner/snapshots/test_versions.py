"""Real folders, a real store in a folder: whatever is done to a workspace, every version of it comes back."""

import os
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.layout import CHUNK_BYTES
from runner.snapshots.stores.store import Fenced
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from tests.runner.snapshots.jobs import picture
from tests.runner.snapshots.place import LONG_AGO_NS, NOW, Place, a_place, restored_elsewhere
from tests.runner.snapshots.programs import do, inside, steps


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=3, max_size=25))
async def test_every_version_comes_back_whatever_was_done(script: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with a_place(Path(folder)) as place:
            taken: dict[str, dict[bytes, tuple[object, ...]]] = {}
            for step in script:
                match step[0]:
                    case "take":
                        taken[(await place.take()).version] = picture(place.root)
                    case "restore" if taken:
                        version = sorted(taken)[int(step[1]) % len(taken)]  # type: ignore[call-overload]
                        done = await place.restore(version)
                        assert done.notes == []
                        assert picture(place.root) == taken[version]
                    case "collect":
                        await collect(place.history, place.cache, 1, NOW, young=timedelta(0))
                    case "write" | "folder" | "link" | "remove" if inside(place.root, step):
                        do(place.root, step)
            alive = await place.history.versions()
            for number, version in enumerate(sorted(taken.keys() & set(alive))):
                again = await restored_elsewhere(place, version, Path(folder) / f"again{number}")
                assert again == taken[version]
            assert (await verify(place.history)).problems == []


async def test_nothing_changed_means_no_new_version(place: Place) -> None:
    (place.root / "a").write_text("one")
    first = await place.take()
    assert (await place.take()).version == first.version == "1-1"
    (place.root / "a").write_text("two")
    assert (await place.take()).version == "1-2"


async def test_a_change_within_one_tick_of_the_clock_is_seen(place: Place) -> None:
    """Same size, same time of modification, and a cache that knows the file."""
    path = place.root / "a"
    for text in ("one", "two", "six"):
        path.write_text(text)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        version = (await place.take()).version
        assert await (await place.history.open(version)).read("a", 10) == text.encode()


async def test_a_lost_or_broken_cache_costs_nothing_but_time(place: Place, tmp_path: Path) -> None:
    (place.root / "a").write_text("one")
    first = await place.take()
    other = tmp_path / "other.db"
    other.write_bytes(b"this is no database" * 100)
    with Cache(other) as cache:
        again = await take(place.workspace, place.history, cache, Label(epoch=1, author="ada", message=""))
        assert again.version == first.version
        (place.root / "b").write_text("two")
        more = await take(place.workspace, place.history, cache, Label(epoch=1, author="ada", message=""))
    assert more.version == "1-2"
    assert (await verify(place.history)).problems == []


async def test_an_outdated_writer_writes_nothing(place: Place) -> None:
    (place.root / "a").write_text("one")
    await place.take(epoch=2)
    (place.root / "a").write_text("two")
    with pytest.raises(Fenced):
        await place.take(epoch=1)
    assert await place.history.versions() == ["2-1"]
    assert (await place.take(epoch=3)).version == "3-2"


async def test_large_and_sparse_files(place: Place, tmp_path: Path) -> None:
    large = os.urandom(CHUNK_BYTES * 2 + 17)
    (place.root / "large").write_bytes(large)
    with open(place.root / "sparse", "wb") as file:
        file.truncate(40 * CHUNK_BYTES)
        file.seek(20 * CHUNK_BYTES + 5)
        file.write(b"in the middle")
    (place.root / "empty").touch()
    before = picture(place.root)
    commit = await place.take()
    assert await restored_elsewhere(place, commit.version, tmp_path / "again") == before
    assert (tmp_path / "again" / "sparse").stat().st_blocks * 512 <= 2 * CHUNK_BYTES
