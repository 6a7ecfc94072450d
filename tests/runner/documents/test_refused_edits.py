"""What cannot be edited, and tabs that send or keep more than they may."""

import os
from pathlib import Path

import pytest

from runner.documents import connection
from runner.documents.connection import Connection
from runner.documents.document import BadUpdate
from runner.documents.rooms import Rooms
from runner.documents.wire import UPDATE, BadMessage, Close, Open, Opened, Reset, Saved, Sync, encode
from tests.runner.documents.tab import Tab, until_each


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


async def test_a_symbolic_link_is_not_followed(rooms: Rooms, root: Path) -> None:
    (root / "passwd").symlink_to("/etc/passwd")
    tab = await Tab("passwd").connect(rooms)
    assert tab.opened is not None
    assert tab.opened.reason == "refused"


@pytest.mark.parametrize("seconds", [-1e9, 0, 1e10])
async def test_a_file_of_any_time_is_opened(rooms: Rooms, root: Path, seconds: float) -> None:
    (root / "a").write_text("text")
    os.utime(root / "a", (seconds, seconds))
    tab = await Tab("a").connect(rooms)
    assert tab.text == "text"
    assert 0 <= tab.receipts[0].at_ms <= 1e13


async def test_a_text_beyond_the_limit_is_not_taken(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    one, two = await Tab("a").connect(rooms), await Tab("a").connect(rooms)
    await one.type(0, "x" * 5_000_000)
    await two.type(0, "y")
    await until_each((one, two), lambda tab: any(isinstance(message, Reset) for message in tab.seen) and tab.is_synced)
    assert "x" not in one.text.replace("text", "")
    await two.flush()
    assert (root / "a").stat().st_size < 10


@pytest.mark.parametrize(
    ("more", "can_write", "code"), [(" more", False, "read-only"), ("x" * 5_000_000, True, "too-large")]
)
async def test_who_comes_back_with_what_is_not_taken_hears_why(
    rooms: Rooms, root: Path, more: str, can_write: bool, code: str
) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    tab.disconnect()
    await tab.type(4, more)
    tab.guid = "of an earlier history"
    await tab.connect(rooms, can_write=can_write)
    await tab.until(lambda: not tab.pending)
    assert (tab.text, tab.notices) == ("text", [code])


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


async def test_nonsense_from_a_tab_is_refused(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    tab = await Tab("a").connect(rooms)
    assert tab.opened is not None
    with pytest.raises(BadUpdate):
        await tab.send(Sync(tab.opened.channel, UPDATE, b"\xff\xff\xff"))
    with pytest.raises(BadMessage):
        await tab.send(Sync(tab.opened.channel, 7, b""))
    with pytest.raises(BadMessage):
        await tab.send(Saved(tab.opened.channel, "", 0, 0, ()))
    await tab.send(Close(tab.opened.channel))
    await tab.send(Sync(tab.opened.channel, UPDATE, b"\xff"))  # crossed the close: ignored


async def test_a_tab_may_not_open_files_without_end(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    greedy = Connection(rooms, name="ada", can_write=True)
    for _ in range(connection.MAX_CHANNELS + 1):
        await greedy.receive(encode(Open("a", "", "")))
    frames = [await greedy.next_frame() for _ in range(connection.MAX_CHANNELS + 1)]
    assert frames[-1] == encode(Opened("a", 0, "", 0, "refused"))
    greedy.close()


async def test_a_tab_that_does_not_read_is_cut_off(rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "QUEUE_BYTES", 10_000)
    (root / "a").write_text("")
    unread = Connection(rooms, name="ada", can_write=True)
    slow, fast = await Tab("a").over(unread), await Tab("a").connect(rooms)
    for _ in range(20):
        await fast.type(0, "x" * 1000)
    assert unread.overflowed
    await unread.cut_off()
    slow.disconnect()
    await slow.connect(rooms)
    assert slow.text == fast.text
