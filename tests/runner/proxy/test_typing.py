"""What is typed into a terminal: by whom, and what only looks like typing."""

import asyncio
import hashlib
import random
import signal

import pytest

from tests.runner.proxy.stage import DEADLINE_S, READY, SIGNAL, Stage

SAID = ["\x1b[?1;2c", "\x1b[5;7R", "\x1b[?5;7R", "\x1b[0n", "\x1b[?2004;1$y", "\x1b[8;24;80t", "\x1b[I", "\x1b[O"]
SAID_AT_LENGTH = ["\x1bP1$r0m\x1b\\", "\x1b]11;rgb:ffff/ffff/ffff\x1b\\"]
KEYS = ["a", "\x1b", "\x1b[A", "\x1bOR", "\x1bP", "\x1b]", "\x1b[200~pasted\x1b[201~", "\x1b[M !!"]


async def test_a_key_is_echoed_and_a_command_answers(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("echo $((6*7))\n")
        await tab.until("42")
        assert tab.ready
        assert tab.ready["kind"] == "shell"
        assert tab.ready["can_write"] is True
    assert "keystroke" in stage.activity
    assert "output" in stage.activity


async def test_a_page_learns_how_much_of_its_typing_was_taken(stage: Stage) -> None:
    terminal, page = await stage.open_terminal(), "0123456789abcdef"
    async with stage.attached(terminal) as other, stage.attached(terminal, page=f"{page}.0") as old:
        await other.type("stty -echo; PS1=; echo re''ady; cat\n")
        await old.until("ready\r\n")
        assert (other.taken, old.taken) == (None, 0)
        await old.type("once\n")
        await old.until("once\r\n")
        await old.pinged()
        assert old.taken == 5
        async with stage.attached(terminal, old.offset, page=f"{page}.9") as new:
            await new.until_kind(READY)
            assert new.taken == 5, "what it sent besides was lost"
            await new.type("new\n")
            await new.until("new\r\n")
            await old.type("late\n")  # it was said again over the newer connection
            assert await old.until_closed() == 1007
            await new.type("end\n")
            await new.until("end\r\n")
            assert new.text == b"new\r\nend\r\n"
    async with stage.attached(terminal, page="fedcba9876543210.7") as unknown:
        await unknown.until_kind(READY)
        assert unknown.taken == 7


async def test_a_page_whose_older_connection_came_last_is_told_to_dial_again(stage: Stage) -> None:
    """By a network that was away: nothing else would tell the page that its keys go nowhere."""
    terminal, page = await stage.open_terminal(), "0123456789abcdef.0"
    async with stage.attached(terminal, page=page) as newest, stage.attached(terminal, page=page) as late:
        await late.until("$ ")
        await newest.type("echo he''ard\n")
        assert await newest.until_closed() == 1007
        async with stage.attached(terminal, page=page) as again:
            await again.until_kind(READY)
            assert again.taken == 0
            await again.type("echo he''ard\n")
            await again.until("heard")


async def test_what_is_refused_is_taken(stage: Stage) -> None:
    async with stage.attached(await stage.open_terminal(), role="reader", page="0123456789abcdef.0") as reader:
        await reader.type("ls\n")
        await reader.pinged()
        assert reader.taken == 3
        assert reader.refused


async def test_a_large_paste_arrives_whole(stage: Stage) -> None:
    paste = random.Random(1).randbytes(600_000)
    async with stage.shell() as tab:
        await tab.type("stty raw -echo; echo re''ady; head -c 600000 | sha256sum; stty sane\n")
        await tab.until("ready")
        for at in range(0, len(paste), 100_000):
            await tab.type(paste[at : at + 100_000])
        await tab.until(hashlib.sha256(paste).hexdigest())


async def test_ctrl_c_reaches_a_program_that_floods(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("PS1='pro''mpt>'; yes\n")
        async with asyncio.timeout(DEADLINE_S):
            while len(tab.text) < 2_000_000:
                await tab.step()
        seen = len(tab.text)
        await tab.type("\x03")
        await tab.until("prompt>")
        assert len(tab.text) - seen < 2_000_000, "what is on the way is bounded by the window"
        assert not tab.gaps, "the only viewer sets the pace"


async def test_a_signal_reaches_the_program_in_front(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("echo re''ady; cat; echo st''atus $?\n")
        await tab.until("ready\r\n")
        await tab.type("here\n")
        await tab.until("here\r\nhere")
        await tab.socket.send(bytes([SIGNAL, signal.SIGTERM]))
        await tab.until("status 143")


async def test_a_viewer_who_may_only_look_types_nothing(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as writer, stage.attached(terminal, role="reader") as reader:
        await reader.type("touch typed-by-reader\n")
        await reader.resize(40, 10)
        await reader.socket.send(bytes([SIGNAL, 9]))
        await reader.pinged()
        await writer.type("echo al''ive\n")
        await reader.until("alive")
        assert reader.ready
        assert reader.ready["can_write"] is False
        assert writer.size is None
    assert not (stage.workspace / "typed-by-reader").exists()
    for answer in (
        await stage.http.post("/terminals", json={}, headers={"X-Test-Role": "reader"}),
        await stage.http.delete(f"/terminals/{terminal}", headers={"X-Test-Role": "reader"}),
    ):
        assert answer.status_code == 403


async def test_a_programs_question_is_answered_once_and_never_again(stage: Stage) -> None:
    """Terminals answer by themselves; a second tab, or a tab that shows old output again, must not type the answer."""
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as first, stage.attached(terminal) as second:
        await first.type("stty -echo -icanon; PS1=; echo re''ady; cat\n")
        await second.until("ready\r\n")
        await second.type("\x1b[5;7R")
        await second.type("2nd.")
        await second.until("2nd.")
        await first.type("\x1b[?1;2c")
        await first.until("\x1b[?1;2c")
        assert b"[5;7R" not in first.text
    async with stage.attached(terminal) as again:
        again.acknowledges = False
        await again.until("[?1;2c")
        await again.type("\x1b[9;9R")
        await again.type("\x1b[O")
        await again.type("old.")
        await again.until("old.")
        assert b"[9;9R" not in again.text
        assert b"[O" not in again.text
        await again.acknowledge()
        await again.type("\x1b[8;8R")
        await again.until("[8;8R")


async def test_what_a_terminal_says_by_itself_is_no_typing(stage: Stage) -> None:
    async with stage.shell() as tab:
        for said in (*SAID, *SAID_AT_LENGTH):
            await tab.type(said)
            await tab.pinged()
            assert "keystroke" not in stage.activity, said


@pytest.mark.parametrize("key", KEYS)
async def test_keys_pastes_and_the_mouse_are_typing(stage: Stage, key: str) -> None:
    async with stage.shell() as tab:
        await tab.type(key)
        await tab.pinged()
        assert "keystroke" in stage.activity
