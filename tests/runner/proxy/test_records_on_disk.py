"""Records as they lie on a disk: their bounds, what tears them, and what people take away."""

import json
import shutil
import sys
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import DevexError
from runner.protocol.ring import Ring
from runner.proxy.records import rendering
from runner.proxy.records.about import About, Origin, Subject
from runner.proxy.records.disk import RECORD_BYTES, Bounds, Disk
from runner.proxy.records.entries import Entry, Output, Sized, decode, encode
from runner.proxy.records.masking import Masking
from tests.runner.proxy.test_masking import a_recording

SMALL = Bounds(records=3, record_bytes=4000, total_bytes=9000, segment_bytes=1000)


def about(number: int, **known: Any) -> About:
    made = About.of(Subject(f"run-{number}-00000000", "run", "Run"), Origin(), (80, 24), Masking())
    return replace(made, started_at=f"2026-01-01T00:00:{number:02}+00:00", **known)


def ended(number: int) -> About:
    return replace(about(number).ended({"status": 0, "signal": 0}, 1.0), ended_at=f"2026-01-01T00:01:{number:02}+00:00")


def said(disk: Disk, record: About, *pieces: bytes, live: Collection[str] = (about(1).id,)) -> None:
    for piece in pieces:
        disk.write(record, [Output(disk.end(record.id), 1_767_225_600_000, piece)], live)


def kept(disk: Disk, record: About) -> bytes:
    return b"".join(entry.data for entry in disk.entries(record.id) if isinstance(entry, Output))


def test_of_a_long_record_the_oldest_is_dropped_and_counted(tmp_path: Path) -> None:
    disk, long = Disk(tmp_path / "records", SMALL), about(1)
    pieces = [b"%4d" % number * 25 for number in range(100)]
    said(disk, long, *pieces)
    found = kept(disk, long)
    whole = b"".join(pieces)
    assert whole.endswith(found)
    assert 2000 < len(found) <= SMALL.record_bytes
    told = disk.look(long.id, {long.id})
    assert (told["bytes"], told["missing"]) == (len(found), len(whole) - len(found))
    assert told["gaps"] == [(0, len(whole) - len(found))]
    assert sum(path.stat().st_size for path in (tmp_path / "records").rglob("*.log")) <= SMALL.record_bytes
    again = Disk(tmp_path / "records", SMALL)
    assert again.load()[long.id] == (long, len(whole))
    assert again.look(long.id, {long.id}) == told


def test_what_ended_first_goes_first_and_what_runs_stays(tmp_path: Path) -> None:
    disk, runs = Disk(tmp_path / "records", SMALL), about(1)
    said(disk, runs, b"still here")
    for number in range(2, 6):
        said(disk, ended(number), b"x")
    assert {one["id"] for one in disk.listing({runs.id})} == {runs.id, ended(4).id, ended(5).id}
    said(disk, runs, *[b"y" * 100] * 30)
    said(disk, ended(6), *[b"z" * 100] * 30)
    assert {one["id"] for one in disk.listing({runs.id})} == {runs.id, ended(5).id, ended(6).id}
    for number in (7, 8, 9):
        said(disk, about(number), *[b"w" * 100] * 60, live=[about(each).id for each in (1, 7, 8, 9)])
    total = sum(path.stat().st_size for path in (tmp_path / "records").rglob("*.log"))
    assert total <= SMALL.total_bytes
    assert len(disk.listing(())) == 4, "what runs is not removed, but gets shorter"
    assert kept(disk, runs).endswith(b"y" * 100)


def test_what_was_torn_is_left_out_and_gone_on_behind(tmp_path: Path) -> None:
    """At every byte of the last entry."""
    disk, record = Disk(tmp_path / "whole"), about(1)
    said(disk, record, b"first ", b"second ", b"third")
    (place,) = (tmp_path / "whole").rglob("*.log")
    whole = place.read_bytes()
    before = len(whole) - len(encode(Output(0, 0, b"third")))
    for cut in range(before, len(whole)):
        for end in (b"", b"\0" * 40, b"\xff" * 3):
            shutil.copytree(tmp_path / "whole", tmp_path / "torn")
            torn = tmp_path / "torn" / place.relative_to(tmp_path / "whole")
            torn.write_bytes(whole[:cut] + end)
            looking = Disk(tmp_path / "torn", may_write=False)
            assert looking.load()[record.id][1] == len(b"first second ")
            assert kept(looking, record) == b"first second "
            assert torn.read_bytes() == whole[:cut] + end, "who only looks changes nothing"
            again = Disk(tmp_path / "torn")
            assert again.load()[record.id][1] == len(b"first second ")
            said(again, record, b"third, again")
            assert kept(again, record) == b"first second third, again"
            shutil.rmtree(tmp_path / "torn")


def test_a_record_that_was_begun_or_removed_by_half_is_none(tmp_path: Path) -> None:
    disk, record = Disk(tmp_path), about(1)
    said(disk, record, b"x")
    (tmp_path / record.id / "about.json").write_bytes(b'{"about": ')
    (tmp_path / "not a record").mkdir()
    assert Disk(tmp_path, may_write=False).load() == {}
    assert (tmp_path / record.id).is_dir()
    assert Disk(tmp_path).load() == {}
    assert not (tmp_path / record.id).exists()
    assert (tmp_path / "not a record").is_dir()


def test_what_nobody_saw_the_end_of_was_lost(tmp_path: Path) -> None:
    disk, record = Disk(tmp_path), about(1)
    said(disk, record, b"x")
    (told,) = disk.listing({record.id})
    assert (told["ended_at"], told["exit"]) == (None, None)
    (told,) = disk.listing(())
    assert told["exit"] == {"status": -1, "signal": 0, "lost": True}
    assert told["duration_s"] > 0
    with pytest.raises(DevexError) as refused:
        disk.entries("run-2-00000000")
    assert refused.value.status == 404


def test_an_end_counts_once_the_disk_has_it() -> None:
    """Until then it is told as running: neither as lost nor as gone."""
    recording, masking = a_recording(Ring(), Masking()), Masking()
    before = recording.pending(masking)
    recording.ended({"status": 0, "signal": 0}, 1.0)
    recording.took(before, 0, whole=True)
    assert (recording.is_over, recording.waits) == (False, True)
    recording.took(recording.pending(masking), 0, whole=True)
    assert (recording.is_over, recording.waits) == (True, False)


ENTRY = st.one_of(
    st.builds(Output, st.integers(0, 1 << 62), st.integers(0, 1 << 50), st.binary(max_size=50)),
    st.builds(Sized, st.integers(0, 1 << 62), st.integers(0, 1 << 50), st.integers(2, 1000), st.integers(2, 1000)),
)


@given(st.lists(ENTRY, max_size=5), st.data())
def test_what_is_read_is_a_beginning_of_what_was_written(entries: list[Entry], data: st.DataObject) -> None:
    raw = bytearray().join(map(encode, entries))
    damaged = bytearray(raw)
    if raw:
        damaged[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(raw)))
    assert [entry for entry, _ in decode(bytes(raw))] == entries
    for found in (decode(bytes(raw[:cut])), decode(bytes(damaged))):
        read = [entry for entry, _ in found]
        assert read == entries[: len(read)]


def spread(data: bytes, cuts: Sequence[int]) -> list[Entry]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [Output(start, 1_767_225_600_000 + start, data[start:end]) for start, end in pairwise(places)]


@given(st.text(max_size=40), st.lists(st.integers(0, 1000), max_size=10))
def test_an_asciicast_is_the_text_whatever_its_pieces(text: str, cuts: list[int]) -> None:
    told = {**about(0).json(), "command": "echo"}
    lines = [json.loads(line) for line in b"".join(rendering.cast(told, spread(text.encode(), cuts))).splitlines()]
    assert (lines[0]["version"], lines[0]["width"], lines[0]["height"], lines[0]["command"]) == (2, 80, 24, "echo")
    assert "".join(data for _, code, data in lines[1:] if code == "o") == text
    assert [time for time, *_ in lines[1:]] == sorted(time for time, *_ in lines[1:])


def test_an_asciicast_has_sizes_and_gaps() -> None:
    at_ms = 1_767_225_600_000
    entries: list[Entry] = [
        Sized(0, at_ms, 90, 30),
        Output(0, at_ms + 500, "é".encode()[:1]),
        Sized(1, at_ms + 1000, 100, 40),
        Output(10, at_ms + 1500, b"later"),
    ]
    header, *events = b"".join(rendering.cast(about(0).json(), entries)).splitlines()
    assert json.loads(header)["width"] == 90
    assert [json.loads(event) for event in events] == [
        [1.0, "r", "100x40"],
        [1.0, "o", "�"],
        [1.0, "m", "9 bytes of output are missing here"],
        [1.5, "o", "later"],
    ]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (b"plain\r\n\ttab\r\n", "plain\n\ttab\n"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07after\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "red afterlink"),
        (b" 10%\r 50%\r100%\r\ndone", "100%\ndone"),
        (b"lss\b\x1b[K -l\r\n", "ls -l\n"),
        (b"\x1bPq#0;sixel\x1b\\\x1b(B\x1b=\x1b7\x07ok\x00", "ok"),
        ("ünï\x9b 漢字 👩‍💻".encode(), "ünï 漢字 👩‍💻"),
        (b"cut \xf0\x9f", "cut �"),
        (b"open \x1b[12", "open "),
    ],
)
def test_a_text_has_no_control_sequences(written: bytes, text: str) -> None:
    assert rendering.text([Output(0, 0, written)]) == text


@pytest.mark.parametrize("unit", [b"\x1b", b"\x1b[m", b"\0"])
def test_a_text_that_takes_long_lets_others_run(unit: bytes) -> None:
    """The server's loop is one of them."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    turns, over = 0, threading.Event()

    def take_turns() -> None:
        nonlocal turns
        while not over.wait(1e-4):
            turns += 1

    other = threading.Thread(target=take_turns)
    other.start()
    try:
        rendering.text([Output(0, 0, unit * (RECORD_BYTES // len(unit)))])
    finally:
        over.set()
        other.join()
        sys.setswitchinterval(interval)
    assert turns > 20


def test_a_text_says_what_is_missing() -> None:
    entries = [Output(5, 0, b"first\r\n"), Output(1012, 0, b"last")]
    gaps = ("[5 bytes of output are missing here]", "[1,000 bytes of output are missing here]")
    assert rendering.text(entries) == f"\n{gaps[0]}\nfirst\n\n{gaps[1]}\nlast"


def test_the_last_lines_are_whole() -> None:
    entries: list[Entry] = [Output(0, 0, b"one\r\ntwo"), Output(8, 0, b"\r\nthree\r\n")]
    assert rendering.tail(entries, 100) == (b"one\r\ntwo\r\nthree\r\n", 0, 0)
    assert rendering.tail(entries, 12) == (b"three\r\n", 10, 0)
    assert rendering.tail(entries, 7) == (b"three\r\n", 10, 0)
    assert rendering.tail([Output(4, 0, "äöü".encode())], 3) == ("ü".encode(), 8, 0)
    assert rendering.tail([Output(0, 0, b"a\n"), Output(10, 0, b"b\n")], 100) == (b"a\nb\n", 0, 8)
    assert rendering.tail([], 5) == (b"", 0, 0)
