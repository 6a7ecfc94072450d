"""Rooms over a real folder: autosave, programs that write, restarts."""

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tab import DEADLINE_S, Tab, rooms_over

from runner.documents import connection, room, sharedfile
from runner.documents import rooms as rooms_module
from runner.documents.connection import Connection
from runner.documents.disk import NotEditableError
from runner.documents.document import BadUpdateError
from runner.documents.rooms import Rooms
from runner.documents.wire import UPDATE, Close, Open, Opened, Reset, Saved, Sync, WireError, encode
from runner.errors import DevexError
from runner.workspace import Workspace


def truncate_and_write(path: Path, text: str) -> None:
    path.write_text(text)


def rename_over(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.rename(path)


def write_in_pieces(path: Path, text: str) -> None:
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(text.encode()), 7):
            file.write(text.encode()[start : start + 7])


WRITERS = [truncate_and_write, rename_over, write_in_pieces]
TEXT = "".join(f"line {number}: déjà vu 😀\n" for number in range(30))


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
    for tab in (one, two):
        await tab.until(lambda tab=tab: len(tab.text) == 40)
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


@pytest.mark.parametrize("write", WRITERS)
async def test_a_program_changes_the_file_while_two_type(
    rooms: Rooms, root: Path, write: Callable[[Path, str], None]
) -> None:
    file = root / "a.txt"
    file.write_text(TEXT)
    one, two = await Tab("a.txt").connect(rooms), await Tab("a.txt").connect(rooms)
    marks = []
    for number in range(3):
        await one.type(len(one.text), "hello ")
        await two.type(0, "früh ")
        current = await asyncio.to_thread(file.read_text)
        mark = f"#{number} by a program"
        marks.append(mark)
        await asyncio.to_thread(
            write, file, current.replace(f"line {number * 9 + 3}:", f"{mark}\nline {number * 9 + 3}:")
        )
        rooms.disk_hint("a.txt")
        await one.type(len(one.text), "world\n")
        for tab in (one, two):
            await tab.until(lambda tab=tab, mark=mark: mark in tab.text and tab.is_saved)
    for tab in (one, two):
        await tab.until(lambda tab=tab: tab.text == file.read_text())
    assert one.text.endswith("hello world\n" * 3)
    assert one.text.startswith("früh " * 3)
    assert one.text.count("by a program") == 3
    assert all(f"line {number}: déjà vu 😀\n" in one.text for number in range(30))


async def test_a_save_never_overwrites_a_change_it_has_not_seen(rooms: Rooms, root: Path) -> None:
    """Nobody gives a hint: the save finds out by itself."""
    (root / "a").write_text("one\ntwo\nthree\n")
    tab = await Tab("a").connect(rooms)
    await tab.type(4, "and a half ")
    rename_over(root / "a", "zero\none\ntwo\nthree\n")
    await tab.until(lambda: tab.is_saved and "zero" in tab.text)
    assert (root / "a").read_text() == tab.text == "zero\none\nand a half two\nthree\n"


async def test_a_deleted_file_comes_back_when_somebody_types_or_saves(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    (root / "a").unlink()
    rooms.disk_hint("a")
    await tab.until(lambda: "deleted" in tab.notices)
    assert not (root / "a").exists()
    await tab.type(4, "!")
    await tab.until(lambda: tab.notices == ["deleted", ""])
    assert (root / "a").read_text() == "text!"
    await tab.until(lambda: tab.is_saved)
    (root / "a").unlink()
    rooms.disk_hint("")
    await tab.until(lambda: tab.notices[-1] == "deleted")
    await tab.flush()
    assert (root / "a").read_text() == "text!"


@pytest.mark.parametrize("moved", [("src/a.py", "src/b.py"), ("src", "lib"), ("src/a.py", "taken.py")])
async def test_a_moved_file_takes_its_room_along(rooms: Rooms, root: Path, moved: tuple[str, str]) -> None:
    (root / "src").mkdir()
    (root / "src" / "a.py").write_text("text")
    (root / "taken.py").write_text("replaced")
    one, two = await Tab("src/a.py").connect(rooms), await Tab("src/a.py").connect(rooms)
    away, other = await Tab("src/a.py").connect(rooms), await Tab("taken.py").connect(rooms)
    away.disconnect()
    await away.type(0, "offline ")
    source, target = moved
    path = target + "src/a.py"[len(source) :]
    for number in range(3):
        await one.type(len(one.text), str(number))
    moving = asyncio.create_task(rooms.move(source, target, overwrite=True))
    for number in range(3, 100):
        await one.type(len(one.text), f" {number}")
        await asyncio.sleep(0)
    await moving
    await one.type(len(one.text), " end")
    await away.connect(rooms)
    for tab in (one, two, away):
        await tab.until(lambda tab=tab: tab.is_saved and "offline" in tab.text and tab.text.endswith("end"))
        assert tab.path == path
        assert not any(isinstance(message, Reset) for message in tab.seen)
    if path == other.path:
        await other.until(lambda: other.text == one.text)
    assert (root / path).read_text() == one.text == "offline text012" + "".join(f" {n}" for n in range(3, 100)) + " end"
    assert not (root / "src" / "a.py").exists()
    assert (await rooms.open(path)).viewers == 3 + (path == other.path)


async def test_a_file_whose_new_path_is_no_text_is_closed(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    await tab.type(0, "more ")
    await rooms.move("a", "a\udcff")
    await tab.until(lambda: tab.opened is not None and tab.opened.reason == "missing")
    await rooms.flush()
    assert os.listdir(os.fsencode(root)) == [b"a\xff"]
    assert (root / "a\udcff").read_text() == "more text"
    with pytest.raises(NotEditableError, match="refused"):
        await rooms.open("a\udcff")


async def test_a_file_that_cannot_be_moved_stays_open(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    (root / "b").write_text("other")
    tab = await Tab("a").connect(rooms)
    await tab.type(0, "more ")
    with pytest.raises(DevexError, match="already exists"):
        await rooms.move("a", "b")
    await rooms.move("a", "a", overwrite=True)
    await tab.type(0, "still ")
    await tab.until(lambda: tab.is_saved)
    assert (root / "a").read_text() == "still more text"
    assert (root / "b").read_text() == "other"


@pytest.mark.parametrize("removed", ["d/a", "d"])
async def test_a_deleted_file_is_not_brought_back_by_what_is_open(rooms: Rooms, root: Path, removed: str) -> None:
    (root / "d").mkdir()
    (root / "d" / "a").write_text("text")
    one, two = await Tab("d/a").connect(rooms), await Tab("d/a").connect(rooms)
    await one.type(0, "unsaved ")
    removing = asyncio.create_task(rooms.remove(removed))
    for _ in range(100):
        await two.type(0, "more ")
        await asyncio.sleep(0)
    await removing
    for tab in (one, two):
        await tab.until(lambda tab=tab: tab.opened is not None and tab.opened.reason == "missing")
    await rooms.flush()
    assert not (root / removed).exists()
    (root / "d").mkdir(exist_ok=True)
    (root / "d" / "a").write_text("new")
    assert (await Tab("d/a").connect(rooms)).text == "new"


async def test_a_file_that_became_binary_ends_its_room(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    rename_over(root / "a", "a\0b")
    rooms.disk_hint("a")
    await tab.until(lambda: tab.opened is not None and not tab.opened.channel)
    assert tab.opened is not None
    assert tab.opened.reason == "binary"
    assert (root / "a").read_bytes() == b"a\0b"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("b.bin", b"a\0b", "binary"),
        ("l.txt", "é".encode("latin-1"), "binary"),
        ("big.txt", b"x" * 5_000_001, "too-large"),
        ("none", None, "missing"),
        ("../up", None, "refused"),
        ("", None, "refused"),
    ],
)
async def test_what_cannot_be_edited_is_named(
    rooms: Rooms, root: Path, name: str, content: bytes | None, reason: str
) -> None:
    if content is not None:
        (root / name).write_bytes(content)
    tab = await Tab(name).connect(rooms)
    assert tab.opened == Opened(name, 0, "", 0, reason)


@pytest.mark.parametrize("seconds", [-1e9, 0, 1e10])
async def test_a_file_of_any_time_is_opened(rooms: Rooms, root: Path, seconds: float) -> None:
    (root / "a").write_text("text")
    os.utime(root / "a", (seconds, seconds))
    tab = await Tab("a").connect(rooms)
    assert tab.text == "text"
    assert 0 <= tab.receipts[0].at_ms <= 1e13


async def test_a_symbolic_link_is_not_followed(rooms: Rooms, root: Path) -> None:
    (root / "passwd").symlink_to("/etc/passwd")
    tab = await Tab("passwd").connect(rooms)
    assert tab.opened is not None
    assert tab.opened.reason == "refused"


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


async def test_what_was_typed_offline_arrives_once(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    one.disconnect()
    await one.type(4, " offline")
    await two.type(0, "online ")
    await two.until(lambda: two.is_saved)
    await one.connect(rooms)
    for tab in (one, two):
        await tab.until(lambda tab=tab: tab.text == "online text offline" and tab.is_saved)
    assert (root / "a").read_text() == "online text offline"


async def test_a_killed_server_loses_and_doubles_nothing(workspace: Workspace, root: Path) -> None:
    (root / "a").write_text(TEXT)
    async with rooms_over(workspace) as before:
        one, two = await Tab("a").connect(before), await Tab("a").connect(before)
        shared = (await before.open("a")).file
        async with shared.saving:  # as if it were killed before the autosave
            await one.type(0, "both saw 😀\n")
            await two.until(lambda: two.text.startswith("both saw"))
            one.disconnect()
            two.disconnect()
            shared.renew("lost")
    assert (root / "a").read_text() == TEXT
    await one.type(0, "only one\n")
    await two.type(len(two.text), "only two\n")
    truncate_and_write(root / "a", TEXT.replace("line 15:", "line fifteen:"))
    async with rooms_over(workspace) as after:
        await one.connect(after)
        await two.connect(after)
        for tab in (one, two):
            await tab.until(lambda tab=tab: tab.is_saved and "only two" in tab.text and "only one" in tab.text)
        assert one.text == two.text == (root / "a").read_text()
    assert one.text == "only one\nboth saw 😀\n" + TEXT.replace("line 15:", "line fifteen:") + "only two\n"


async def test_a_save_whose_receipt_was_lost_doubles_nothing(workspace: Workspace, root: Path) -> None:
    (root / "a").write_text("text\n")
    async with rooms_over(workspace) as before:
        tab = await Tab("a").connect(before)
        await tab.type(5, "typed\n")
        tab.disconnect()  # the rooms save on their way out; the receipt never arrives
    assert (root / "a").read_text() == "text\ntyped\n"
    assert not tab.is_saved
    async with rooms_over(workspace) as after:
        await tab.connect(after)
        await tab.until(lambda: tab.is_saved)
        assert tab.text == (root / "a").read_text() == "text\ntyped\n"


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


async def test_a_text_beyond_the_limit_is_not_taken(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    await one.type(0, "x" * 5_000_000)
    await two.type(0, "y")
    for tab in (one, two):
        await tab.until(lambda tab=tab: any(isinstance(message, Reset) for message in tab.seen) and tab.is_synced)
    assert "x" not in one.text.replace("text", "")
    await two.flush()
    assert (root / "a").stat().st_size < 10


async def test_objects_and_line_ends_in_a_replica_are_cleaned(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("ab")
    tab = await Tab("a").connect(rooms)
    tab.content.insert_embed(1, {"an": "object"})
    await tab._send_changes()
    await tab.type(2, "\r\n\0c")
    await tab.until(lambda: any(isinstance(message, Reset) for message in tab.seen))
    await tab.until(lambda: tab.is_saved and "c" in tab.text)
    assert (root / "a").read_bytes() == tab.text.encode()
    assert b"\r" not in (root / "a").read_bytes()


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


async def test_a_tab_that_does_not_read_is_cut_off(rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "QUEUE_BYTES", 10_000)
    (root / "a").write_text("")
    slow, fast = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    for _ in range(20):
        await fast.type(0, "x" * 1000)
    assert slow.connection.overflowed
    await slow.connection.cut_off()
    slow.disconnect()
    await slow.connect(rooms)
    assert slow.text == fast.text


async def test_a_full_disk_is_told_and_heals(rooms: Rooms, root: Path, workspace: Workspace) -> None:
    """A folder without write permission stands for it where the test is not root; root is refused by a folder gone."""
    (root / "d").mkdir()
    (root / "d" / "a").write_text("text")
    tab = await Tab("d/a").connect(rooms)
    (root / "d").rename(root / "e")
    await tab.type(0, "more ")
    await tab.until(lambda: "unsaved" in tab.notices)
    (root / "e").rename(root / "d")
    await tab.flush()
    await tab.until(lambda: tab.is_saved)
    assert (root / "d" / "a").read_text() == "more text"


async def test_nonsense_from_a_tab_is_refused(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    assert tab.opened is not None
    with pytest.raises(BadUpdateError):
        await tab.send(Sync(tab.opened.channel, UPDATE, b"\xff\xff\xff"))
    with pytest.raises(WireError):
        await tab.send(Sync(tab.opened.channel, 7, b""))
    with pytest.raises(WireError):
        await tab.send(Saved(tab.opened.channel, "", 0, 0, ()))
    await tab.send(Close(tab.opened.channel))
    await tab.send(Sync(tab.opened.channel, UPDATE, b"\xff"))  # crossed the close: ignored


async def test_a_tab_may_not_open_files_without_end(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    greedy = Connection(rooms, can_write=True)
    for _ in range(connection.MAX_CHANNELS + 1):
        await greedy.receive(encode(Open("a", "", "")))
    frames = [await greedy.next_frame() for _ in range(connection.MAX_CHANNELS + 1)]
    assert frames[-1] == encode(Opened("a", 0, "", 0, "refused"))
    greedy.close()


async def test_a_room_nobody_looks_at_ends_and_the_file_opens_anew(
    rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LINGER_S", 0.0)
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    await tab.type(4, "!")
    tab.disconnect()
    kept = await rooms.open("a")
    async with asyncio.timeout(DEADLINE_S):
        while (again := await rooms.open("a")) is kept:
            await asyncio.sleep(0)
    assert again.file.document.guid != tab.guid
    assert (root / "a").read_text() == "text!"
    await tab.connect(rooms)
    assert tab.text == "text!"


async def test_leaving_saves_what_was_typed(workspace: Workspace, root: Path) -> None:
    (root / "a").write_text("text")
    async with rooms_over(workspace) as rooms:
        tab = await Tab("a").connect(rooms)
        await tab.type(0, "more ")
    assert (root / "a").read_text() == "more text"


async def test_flush_brings_every_file_to_disk(rooms: Rooms, root: Path) -> None:
    for name in "abc":
        (root / name).write_text(name)
        await (await Tab(name).connect(rooms)).type(1, "!")
    await rooms.flush()
    assert [(root / name).read_text() for name in "abc"] == ["a!", "b!", "c!"]


@pytest.mark.parametrize("mode", ["a", "r+"])
async def test_what_a_program_writes_into_the_file_that_a_save_replaced_is_not_lost(
    rooms: Rooms, root: Path, mode: str
) -> None:
    """As `program >> log` and `program > log` do, for longer than several saves."""
    (root / "log").write_text("0\n")
    tab = await Tab("log").connect(rooms)
    shared = (await rooms.open("log")).file
    with (root / "log").open(mode) as file:
        file.seek(0, os.SEEK_END)
        for number in range(1, 4):
            await tab.type(0, f"typed {number}\n")
            await tab.flush()
            assert (root / "log").stat().st_ino != os.fstat(file.fileno()).st_ino
            file.write(f"{number}\n")
            file.flush()
            await tab.until(lambda number=number: f"\n{number}\n" in tab.text and tab.is_saved)
        assert (root / "log").read_text() == tab.text == "typed 3\ntyped 2\ntyped 1\n0\n1\n2\n3\n"
        file.write("last\n")
    await tab.until(lambda: "last" in tab.text and tab.is_saved)
    assert (root / "log").read_text() == tab.text
    async with asyncio.timeout(DEADLINE_S):
        while shared.is_followed:
            await asyncio.sleep(0)


async def test_a_file_that_is_written_anew_while_it_is_saved_merges(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text(TEXT)
    tab = await Tab("a").connect(rooms)
    with (root / "a").open("r+") as file:
        await tab.type(0, "typed\n")
        await tab.flush()
        file.truncate(0)
        file.write(TEXT.replace("line 15:", "line fifteen:"))
    await tab.until(lambda: "fifteen" in tab.text and tab.is_saved)
    assert (root / "a").read_text() == tab.text == "typed\n" + TEXT.replace("line 15:", "line fifteen:")


async def test_a_flush_waits_a_bounded_time_and_what_is_late_is_saved_all_the_same(
    rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms_module, "FLUSH_S", 0.01)
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    async with asyncio.timeout(DEADLINE_S), (await rooms.open("a")).file.saving:
        await tab.type(0, "more ")
        await rooms.flush()
        with pytest.raises(DevexError, match="being saved"):
            await rooms.move("a", "b")
    assert (root / "a").read_text() == "text"
    await tab.until(lambda: tab.is_saved)
    assert (root / "a").read_text() == "more text"


async def test_a_flush_that_is_given_up_doubles_nothing(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("")
    tab = await Tab("a").connect(rooms)
    for number in range(20):
        await tab.type(len(tab.text), f"{number} ")
        flushing = asyncio.create_task(rooms.flush())
        ends_at = asyncio.get_running_loop().time() + number * 0.0005
        while asyncio.get_running_loop().time() < ends_at:
            await asyncio.sleep(0)
        flushing.cancel()
        await asyncio.wait([flushing])
    await rooms.flush()
    await tab.until(lambda: tab.is_saved)
    assert (root / "a").read_text() == tab.text == "".join(f"{number} " for number in range(20))


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
        for tab in tabs:
            await tab.until(lambda tab=tab: not tab.pending)
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
