"""People type into a file that several have open; it is saved by itself."""

import asyncio
import hashlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.documents import sharedfile
from runner.documents.rooms import Rooms
from runner.documents.wire import Reset
from runner.workspace import Workspace
from tests.runner.documents.tab import DEADLINE_S, Tab, rooms_over, until_each


async def test_an_edit_reaches_the_other_tab_and_the_disk(rooms: Rooms, root: Path) -> None:
    (root / "a.py").write_text("print()\n")
    one, two = await Tab("a.py").connect(rooms), await Tab("a.py").connect(rooms)
    await one.type(6, "'hi 😀'")
    await two.until(lambda: two.text == "print('hi 😀')\n")
    await one.until(lambda: one.is_saved)
    await two.until(lambda: two.is_saved)
    raw = (root / "a.py").read_bytes()
    assert raw.decode() == one.text
    digest = hashlib.sha256(raw).hexdigest()
    assert one.receipts[-1].digest == two.digest == digest
    assert abs((root / "a.py").stat().st_mtime * 1000 - one.receipts[-1].at_ms) < 2


async def test_two_people_type_at_one_place(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("")
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    for number in range(20):
        await one.type(number, "é")
        await two.type(number, "😀")
    await until_each((one, two), lambda tab: len(tab.text) == 40)
    assert one.text == two.text
    await one.until(lambda: one.is_saved)
    assert (root / "a").read_text() == one.text


async def test_opening_and_looking_writes_nothing(rooms: Rooms, root: Path) -> None:
    (root / "a").write_bytes(b"a\r\nb\nc")
    before = (root / "a").stat()
    tab = await Tab("a").connect(rooms)
    await tab.flush()
    assert tab.text == "a\nb\nc"
    assert (root / "a").stat() == before


async def test_typed_and_taken_back_is_saved_without_writing(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("abc")
    before = (root / "a").stat().st_mtime_ns
    tab = await Tab("a").connect(rooms)
    await tab.type(1, "x")
    await tab.type(1, "", delete=1)
    await tab.until(lambda: len(tab.receipts) == 2)
    assert tab.is_saved
    assert (root / "a").stat().st_mtime_ns == before


async def test_line_ends_byte_order_mark_and_mode_are_kept(rooms: Rooms, root: Path) -> None:
    file = root / "run.sh"
    file.write_bytes(b"\xef\xbb\xbfecho 1\r\necho 2\r\n")
    file.chmod(0o755)
    tab = await Tab("run.sh").connect(rooms)
    assert tab.text == "echo 1\necho 2\n"
    await tab.type(7, "echo 😀\n")
    await tab.until(lambda: tab.is_saved)
    assert file.read_bytes() == "\ufeffecho 1\r\necho 😀\r\necho 2\r\n".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


async def test_what_was_typed_offline_arrives_once(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    one.disconnect()
    await one.type(4, " offline")
    await two.type(0, "online ")
    await two.until(lambda: two.is_saved)
    await one.connect(rooms)
    await until_each((one, two), lambda tab: tab.text == "online text offline" and tab.is_saved)
    assert (root / "a").read_text() == "online text offline"


async def test_a_viewer_follows_but_changes_nothing(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    viewer, editor = await Tab("a").connect(rooms, can_write=False), await Tab("a").connect(rooms)
    assert viewer.opened is not None
    assert viewer.opened.reason == "read-only"
    await editor.type(0, "more ")
    await viewer.until(lambda: viewer.text == "more text")
    await viewer.type(0, "VIEWER ")
    await viewer.until(lambda: any(isinstance(message, Reset) for message in viewer.seen))
    await viewer.until(lambda: viewer.is_synced and viewer.text == "more text")
    await editor.flush()
    assert editor.text == (root / "a").read_text() == "more text"


async def test_a_file_without_write_permission_is_read_only(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    (root / "a").chmod(0o444)
    tab = await Tab("a").connect(rooms)
    assert tab.opened is not None
    assert tab.opened.reason == "read-only"


async def test_a_keystroke_in_a_large_file_is_small_on_the_wire(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("some words on a line\n" * 50_000)
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    assert one.received_bytes < 1_050_000 + 200
    one.sent_bytes = one.received_bytes = two.received_bytes = 0
    await one.type(500_000, "x")
    await one.until(lambda: one.is_saved)
    await two.until(lambda: two.is_saved)
    assert one.sent_bytes <= 60
    assert one.received_bytes <= 200
    assert two.received_bytes <= 200


async def test_a_bloated_history_begins_anew_and_keeps_what_is_typed(
    rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharedfile, "BLOAT_BYTES", 0)
    monkeypatch.setattr(sharedfile, "BLOAT_FACTOR", 1)
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    first = tab.guid
    await tab.type(0, "more ")
    await tab.until(lambda: any(isinstance(message, Reset) for message in tab.seen) and tab.is_synced)
    assert tab.guid != first
    assert tab.text == (root / "a").read_text() == "more text"


plans = st.lists(
    st.tuples(
        st.sampled_from(["type", "type", "type", "write", "move", "flush", "offline", "kill"]),
        st.integers(0, 1),
        st.integers(0, 99),
        st.sampled_from(["a", "é", "😀", "\n", "two words "]),
    ),
    max_size=12,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(plan=plans)
async def test_whatever_happens_all_ends_equal_and_nothing_typed_is_lost(
    plan: list[tuple[str, int, int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("w")
    (root / "f").write_text("start\n" * 3)
    with Workspace(root) as workspace:
        rooms = await rooms_over(workspace).__aenter__()
        file = root / "f"
        tabs = [await Tab("f").connect(rooms) for _ in range(2)]
        marks = []
        killed: list[Tab] = []
        for number, (what, who, at, text) in enumerate(plan):
            mark = f"[{number}{text}]".replace("\n", "/")
            if what == "type":
                lines = tabs[who].text.split("\n")  # whole lines, so that no mark is torn by the next
                place = sum(len(line) + 1 for line in lines[: at % len(lines)])
                await tabs[who].type(place, f"{mark}\n")
                marks.append(mark)
            elif what == "write":
                with file.open("a") as program:
                    program.write(f"{mark}\n")
                rooms.disk_hint(file.name)
                marks.append(mark)
            elif what == "move":
                moved = root / f"f{number}"
                await rooms.move(file.name, moved.name)
                file = moved
                for tab in tabs:
                    if tab in killed and not tab.is_synced:
                        tab.path = file.name
            elif what == "flush" and tabs[who].is_synced:
                await tabs[who].flush()
            elif what == "offline":
                tabs[who].disconnect()
            elif what == "kill":
                for tab in tabs:
                    tab.disconnect()
                    tab.path = file.name  # the page that renamed it says so to tabs that know no room of this server
                killed = list(tabs)
                await rooms.__aexit__(None, None, None)
                rooms = await rooms_over(workspace).__aenter__()
            if what in {"offline", "kill"} and at % 2:
                for tab in tabs:
                    if not tab.is_synced:
                        await tab.connect(rooms)
        for tab in tabs:
            if not tab.is_synced:
                await tab.connect(rooms)
        await until_each(tabs, lambda tab: not tab.pending)
        async with asyncio.timeout(DEADLINE_S):
            while not all(tab.is_saved and tab.text == file.read_text() for tab in tabs):
                for tab in tabs:
                    await tab.flush()
        for tab in tabs:
            tab.disconnect()
        await rooms.__aexit__(None, None, None)
    assert os.listdir(root) == [file.name]
    text = file.read_text()
    assert {mark: text.count(mark) for mark in marks} == dict.fromkeys(marks, 1)
    assert text.count("start\n") == 3
