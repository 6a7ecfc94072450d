"""Files that are open are moved and deleted through the rooms."""

import asyncio
import os
from pathlib import Path

import pytest

from runner.documents.disk import NotEditable
from runner.documents.rooms import Rooms
from runner.documents.wire import Reset
from runner.errors import DevexError
from tests.runner.documents.tab import Tab, until_each


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
    await until_each((one, two, away), lambda tab: tab.is_saved and "offline" in tab.text and tab.text.endswith("end"))
    for tab in (one, two, away):
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
    with pytest.raises(NotEditable, match="refused"):
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
    await until_each((one, two), lambda tab: tab.opened is not None and tab.opened.reason == "missing")
    await rooms.flush()
    assert not (root / removed).exists()
    (root / "d").mkdir(exist_ok=True)
    (root / "d" / "a").write_text("new")
    assert (await Tab("d/a").connect(rooms)).text == "new"
