"""Rooms that are flushed, left or killed, and what the next ones find."""

import asyncio
from pathlib import Path

import pytest

from runner.documents import room
from runner.documents import rooms as rooms_module
from runner.documents.disk import NotEditable
from runner.documents.rooms import Rooms
from runner.documents.wire import Opened
from runner.errors import DevexError
from runner.workspace import Workspace
from tests.runner.documents.tab import DEADLINE_S, TEXT, Tab, rooms_over, until_each


async def test_flush_brings_every_file_to_disk(rooms: Rooms, root: Path) -> None:
    for name in "abc":
        (root / name).write_text(name)
        await (await Tab(name).connect(rooms)).type(1, "!")
    await rooms.flush()
    assert [(root / name).read_text() for name in "abc"] == ["a!", "b!", "c!"]


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


async def test_leaving_saves_what_was_typed(workspace: Workspace, root: Path) -> None:
    (root / "a").write_text("text")
    async with rooms_over(workspace) as rooms:
        tab = await Tab("a").connect(rooms)
        await tab.type(0, "more ")
    assert (root / "a").read_text() == "more text"


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
    (root / "a").write_text(TEXT.replace("line 15:", "line fifteen:"))
    async with rooms_over(workspace) as after:
        await one.connect(after)
        await two.connect(after)
        await until_each((one, two), lambda tab: tab.is_saved and "only two" in tab.text and "only one" in tab.text)
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


async def test_who_may_only_look_leaves_room_for_those_who_edit(
    rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms_module, "READERS_ROOMS", 1)
    for name in "ab":
        (root / name).write_text(name)
    await rooms.open("a", can_write=False)
    with pytest.raises(NotEditable, match="refused"):
        await rooms.open("b", can_write=False)
    await rooms.open("b")
    await rooms.open("b", can_write=False)  # that is open


async def test_what_only_viewers_have_open_gives_way_to_those_who_edit(
    rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rooms_module, "MAX_ROOMS", 3)
    monkeypatch.setattr(rooms_module, "READERS_ROOMS", 1)
    for name in "abcdef":
        (root / name).write_text(name)
    stays, *leave = [await Tab(name).connect(rooms) for name in "abc"]
    looks = {name: await Tab(name).connect(rooms, can_write=False) for name in "ab"}
    for tab in leave:
        tab.disconnect()
    comes = await Tab("d").connect(rooms)
    assert comes.is_synced
    assert (await rooms.open("b")).viewers == 1, "nobody looked at c"
    assert (await Tab("e").connect(rooms)).is_synced
    await looks["b"].until(lambda: looks["b"].opened == Opened("b", 0, "", 0, "refused"))  # asked again
    await stays.type(1, "!")
    await looks["a"].until(lambda: looks["a"].text == "a!")
    left = await rooms.open("d")
    async with left.file.saving:
        await comes.type(1, "!")
        comes.disconnect()
        assert not (await Tab("f").connect(rooms)).is_synced, "what was typed in d is nowhere else"
    async with asyncio.timeout(DEADLINE_S):
        while left.is_needed:
            await rooms.flush()
    assert [(root / name).read_text() for name in "ad"] == ["a!", "d!"]
    assert (await Tab("f").connect(rooms)).is_synced
