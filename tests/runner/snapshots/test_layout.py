import os
from datetime import UTC, datetime, timedelta

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.layout import Commit, Damaged, Place, Row
from runner.snapshots.retention import kept

names = st.binary(min_size=1, max_size=255).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in {b".", b".."}
)
digests = st.binary(min_size=20, max_size=20).map(bytes.hex)
rows = st.builds(
    Row,
    name=names.map(os.fsdecode),
    kind=st.sampled_from("fd"),
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    size_bytes=st.integers(0, 2**63 - 1),
    content=st.lists(digests, max_size=3).map(tuple),
)


def a_commit(at: datetime, seq: int, epoch: int = 1) -> Commit:
    return Commit(
        epoch=epoch, seq=seq, root=(), index=(), parent=None, at=at.isoformat(), author="ada", message="autosave",
        files=0, size_bytes=0, added=0,
    )  # fmt: skip


@given(st.lists(rows, max_size=20))
def test_a_tree_comes_back_as_it_was_written(tree: list[Row]) -> None:
    assert layout.tree_rows(layout.tree_bytes(tree)) == tree


@pytest.mark.parametrize(
    "data",
    [
        b"[",
        b"{}",
        b'[["..","f",0,0,0,[]]]',
        b'[["a/b","f",0,0,0,[]]]',
        b'[["","f",0,0,0,[]]]',
        b'[["a\\u0000","f",0,0,0,[]]]',
        b'[["a","x",0,0,0,[]]]',
        b'[["a","l",0,0,0,[]]]',
        b'[["a","f",0,0,0,["../../etc"]]]',
        b'[["a","f","7",0,0,[]]]',
        b'[["\\ud800","f",0,0,0,[]]]',
        b"[" * 100_000,
        b'[["a","f",0,%d,0,[]]]' % 2**94,
        b'[["a","f",0,0,%d,[]]]' % 10**400,
        b'[["a","f",0,0,-1,[]]]',
        b'[["a","l",0,0,0,[5]]]',
        b'[["a","l",0,0,0,[""]]]',
        b'[["a","l",0,0,0,["b\\u0000"]]]',
    ],
)
def test_a_tree_that_we_did_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        layout.tree_rows(data)


@given(st.sets(names, max_size=600), names)
def test_one_more_name_changes_two_segments_at_most(some: set[bytes], more: bytes) -> None:
    def pieces(of: set[bytes]) -> set[bytes]:
        tree = [Row(os.fsdecode(name), "f", 0, 0, 0, ()) for name in sorted(of)]
        return {layout.tree_bytes(piece) for piece in layout.segments(tree)}

    assert len(pieces(some | {more}) - pieces(some)) <= 2


offsets, sizes = st.integers(0, 2**40), st.integers(0, layout.MAX_PIECE_BYTES)


@given(st.lists(st.tuples(digests, st.builds(Place, digests.map("p/{}".format), offsets, offsets, sizes))))
def test_an_index_part_comes_back_as_it_was_written(places: list[tuple[str, Place]]) -> None:
    assert layout.index_places(layout.index_bytes(places)) == places


@given(*[st.tuples(st.integers(1, 10**8 - 1), st.integers(1, 10**10 - 1))] * 2)
def test_the_first_key_is_the_newest_version(one: tuple[int, int], other: tuple[int, int]) -> None:
    keys = [layout.commit_key("{}-{}".format(*version)) for version in (one, other)]
    assert (keys[0] < keys[1]) == (one > other)
    assert layout.version_of(keys[0]) == "{}-{}".format(*one)


@pytest.mark.parametrize("version", ["", "1", "1-", "1-2-3", "../c/1-2", "a-b", "123456789-1", "1-2\n"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(DevexError) as raised:
        layout.commit_key(version)
    assert raised.value.status == 404


def test_a_frame_does_not_unpack_to_more_than_it_may() -> None:
    with pytest.raises(Damaged):
        layout.decompressed(zstandard.compress(bytes(50_000_000)), 1000, "pack")


def test_a_changed_byte_is_noticed() -> None:
    stored = layout.compressed(b"hello" * 100)
    place = Place("p/x", 0, len(stored), 500)
    assert layout.chunk(stored, place, layout.digest_of(b"hello" * 100)) == b"hello" * 100
    for at in range(len(stored)):
        with pytest.raises(Damaged):
            layout.chunk(
                stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :], place, layout.digest_of(b"hellO" * 100)
            )


def test_a_commit_comes_back_as_it_was_written() -> None:
    commit = a_commit(datetime.now(UTC), 7)
    assert layout.commit_of(layout.commit_bytes(commit)) == commit


NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)


def test_all_of_a_day_hours_of_a_week_days_of_a_month_are_kept() -> None:
    every_ten_minutes = [a_commit(NOW - timedelta(minutes=10 * ago), 10_000 - ago) for ago in range(6 * 24 * 40)]
    keep = kept(every_ten_minutes, (), NOW)
    keep = kept(every_ten_minutes, (), NOW)
    ages = [NOW - commit.taken_at for commit in every_ten_minutes if commit.version in keep]
    assert sum(age < timedelta(hours=24) for age in ages) == 144
    assert sum(timedelta(hours=24) <= age < timedelta(days=7) for age in ages) in {144, 145}
    assert sum(timedelta(days=7) <= age < timedelta(days=30) for age in ages) in {23, 24}
    assert max(ages) < timedelta(days=30)


def test_of_a_day_with_very_many_the_last_ones_are_kept_and_one_an_hour() -> None:
    every_five_seconds = [a_commit(NOW - timedelta(seconds=5 * ago), 20_000 - ago) for ago in range(12 * 60 * 24)]
    keep = kept(every_five_seconds, {"1-10000"}, NOW)
    assert {f"1-{20_000 - ago}" for ago in range(3_001)} <= keep
    assert len(keep) == 3_001 + 20 + 1


def test_the_newest_and_named_ones_are_kept_for_ever() -> None:
    old = [a_commit(NOW - timedelta(days=400 + ago), 100 - ago) for ago in range(10)]
    assert kept(old, {"1-95"}, NOW) == {"1-100", "1-95"}


def test_a_version_of_the_future_is_kept() -> None:
    commits = [a_commit(NOW + timedelta(days=ago), 100 - ago) for ago in range(3)]
    assert kept(commits, (), NOW) == {"1-100", "1-99", "1-98"}


def test_versions_of_a_clock_that_was_behind_are_as_young_as_those_before() -> None:
    """An hour ago the clock was set back by a year, and now it is right again."""
    right = [a_commit(NOW - timedelta(minutes=10 * ago), 1_000 - ago) for ago in range(6, 100)]
    behind = [a_commit(NOW - timedelta(days=365, minutes=10 * ago), 1_000 - ago) for ago in range(1, 6)]
    assert kept([*right, *behind, a_commit(NOW, 1_000)], (), NOW) == {f"1-{number}" for number in range(901, 1_001)}
    ahead = a_commit(NOW + timedelta(days=365), 1_001)  # makes none that follow it young
    later = [a_commit(NOW + timedelta(days=40, hours=hour), 1_002 + hour) for hour in range(3)]
    assert kept([*right, ahead, *later], (), NOW + timedelta(days=81)) == {"1-1001", "1-1004"}
