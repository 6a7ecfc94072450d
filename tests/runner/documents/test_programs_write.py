"""Programs change, replace and delete what people have open: both sides' work is kept."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.documents.rooms import Rooms
from runner.workspace import Workspace
from tests.runner.documents.tab import DEADLINE_S, TEXT, Tab, until_each


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
        await until_each((one, two), lambda tab: marks[-1] in tab.text and tab.is_saved)
    await until_each((one, two), lambda tab: tab.text == file.read_text())
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


@pytest.mark.parametrize("mode", ["a", "r+"])
async def test_what_a_program_writes_into_the_file_that_a_save_replaced_is_not_lost(
    rooms: Rooms, root: Path, mode: str
) -> None:
    """As `program >> log` and `program > log` do, for longer than several saves."""
    (root / "log").write_text("0\n")
    tab = await Tab("log").connect(rooms)
    shared = (await rooms.open("log")).file
    written: list[str] = []
    with (root / "log").open(mode) as file:
        file.seek(0, os.SEEK_END)
        for number in range(1, 4):
            await tab.type(0, f"typed {number}\n")
            await tab.flush()
            assert (root / "log").stat().st_ino != os.fstat(file.fileno()).st_ino
            written.append(f"{number}\n")
            file.write(written[-1])
            file.flush()
            await tab.until(lambda: f"\n{written[-1]}" in tab.text and tab.is_saved)
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


async def test_a_file_that_became_binary_ends_its_room(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    rename_over(root / "a", "a\0b")
    rooms.disk_hint("a")
    await tab.until(lambda: tab.opened is not None and not tab.opened.channel)
    assert tab.opened is not None
    assert tab.opened.reason == "binary"
    assert (root / "a").read_bytes() == b"a\0b"


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
