"""Terminals as a browser sees them: every byte once and in order, however slow or many its viewers are."""

import asyncio
import random
import struct

import pytest

from runner.protocol.ring import RING_BYTES
from runner.proxy.terminals import attachment
from runner.proxy.terminals.attachment import GATHERED_BYTES
from runner.proxy.terminals.terminals import MAX_OFFSET
from tests.runner.proxy.stage import ACK, DEADLINE_S, EXITED, OUTPUT, PING, PONG, SIZE, Stage, counted

LINES = 20_000


async def test_terminals_are_listed_with_titles_and_limits(stage: Stage) -> None:
    first, second = await stage.open_terminal(cols=100, rows=30), await stage.open_terminal()
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    assert [(one["id"], one["title"], one["kind"], one["exit"]) for one in listed] == [
        (first, "Shell 1", "shell", None),
        (second, "Shell 2", "shell", None),
    ]
    assert (listed[0]["cols"], listed[0]["rows"]) == (100, 30)
    for _ in range(14):
        await stage.open_terminal()
    refused = await stage.http.post("/terminals", json={})
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert (error["message"], error["action"]) == ("16 terminals are open already.", "Close one of them first.")
    assert (await stage.http.delete(f"/terminals/{first}")).status_code == 204
    assert await stage.open_terminal() not in (first, second)


async def test_a_terminal_whose_shell_waits_for_a_program_is_closed_on_demand_only(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.type("sh -c 'echo be''gun; exec sleep 1000'\n")
        await tab.until("begun")
        refused = await stage.http.delete(f"/terminals/{terminal}?idle=1")
        assert refused.status_code == 409
        assert refused.json()["error"]["code"] == "busy"
        await tab.type("\x03echo a''gain\n")
        await tab.until("again")
    assert (await stage.http.delete(f"/terminals/{terminal}?idle=1")).status_code == 204


async def test_nothing_is_lost_or_repeated_when_the_socket_is_cut_at_random(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    chance = random.Random(7)
    shown, offset = b"", 0
    async with stage.attached(terminal) as tab:
        await tab.type(f"stty -echo; PS1=; sleep 0.1; echo be''gin; seq {LINES}; echo e''nd\n")
    while b"end\r\n" not in shown:
        async with stage.attached(terminal, after=offset) as tab, asyncio.timeout(DEADLINE_S):
            for _ in range(chance.randrange(1, 6)):
                await tab.step()
                if b"end\r\n" in tab.text:
                    break
        assert not tab.gaps
        shown, offset = shown + bytes(tab.text), tab.offset
    assert shown.partition(b"begin\r\n")[2] == counted(LINES) + b"end\r\n"


async def test_an_echo_does_not_wait_for_more_and_what_waits_goes_when_there_is_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "GATHER_S", 2 * DEADLINE_S)
    async with stage.shell() as tab:
        tab.acknowledges = False
        for word in ("one", "two", "three"):  # nothing of which is drawn
            await tab.type(f"echo {word[0]}''{word[1:]}\n")
            await tab.until(f"{word}\r\n")
        await tab.type(
            f"stty -echo; printf '%0{3 * GATHERED_BYTES}d' 0; read line; echo begun; read line; echo ended\n"
        )
        await tab.until(b"0" * GATHERED_BYTES)
        tab.acknowledges = True
        await tab.acknowledge()
        await tab.until(b"0" * GATHERED_BYTES)
        await tab.type("\n")
        await tab.until("begun")
        await tab.type("\n")
        await tab.until("ended")


async def test_a_program_that_ends_is_reported_with_its_status(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("exit 3\n")
        await tab.until_kind(EXITED)
        assert tab.exit
        assert (tab.exit["status"], tab.exit["signal"]) == (3, 0)
        assert tab.exit["duration_s"] >= 0
        await tab.type("nobody reads this\n")
        assert tab.ready
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    assert listed[0]["exit"] == {"status": 3, "signal": 0, "peak_bytes": tab.exit["peak_bytes"]}
    assert tab.exit["peak_bytes"] > 0
    async with stage.attached(listed[0]["id"]) as later:
        await later.until_kind(EXITED)
        assert b"exit 3" in later.text


async def test_a_slow_viewer_skips_with_a_gap_and_the_fast_one_misses_nothing(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as fast, stage.attached(terminal) as slow:
        slow.acknowledges = False
        await fast.type("stty -echo; PS1=; sleep 0.1; echo be''gin; seq 400000; echo e''nd\n")
        await fast.until("end\r\n")
        assert not fast.gaps
        assert len(fast.text) > 2 * RING_BYTES
        assert bytes(fast.text).partition(b"begin\r\n")[2] == counted(400_000) + b"end\r\n"
        slow.acknowledges = True
        await slow.until("end\r\n")
        assert slow.gaps
        assert slow.offset == fast.offset
        assert fast.text.endswith(slow.text[-1000:])


async def test_without_a_viewer_programs_run_on_and_what_left_the_ring_is_a_gap(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.type("PS1=; seq 400000; touch done\n")
    async with asyncio.timeout(DEADLINE_S):
        while not (stage.workspace / "done").exists():
            await asyncio.sleep(0.01)
    async with stage.attached(terminal, after=10) as again:
        await again.until("400000\r\n")
    assert len(again.gaps) == 1
    assert again.gaps[0][0] == 10
    assert len(again.text) == RING_BYTES
    assert again.text.endswith(counted(400_000)[-1000:])


@pytest.mark.parametrize("future", [10**9, 10**30])
async def test_an_offset_from_the_future_is_answered_with_a_gap_back(stage: Stage, future: int) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.until("$ ")
    async with stage.attached(terminal, after=future) as lost:
        lost.offset = min(future, MAX_OFFSET)
        await lost.type("echo back\n")
        await lost.until("back")
        assert lost.gaps == [(min(future, MAX_OFFSET), tab.offset)]


async def test_two_tabs_of_one_person_see_the_same_and_both_type(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as one, stage.attached(terminal) as other:
        await one.type("echo fr''om one\n")
        await other.until("from one")
        await other.type("echo fr''om other\n")
        await one.until("from other")
    assert one.text[: len(other.text)] == other.text[: len(one.text)]


async def test_the_smallest_window_decides_and_hidden_ones_do_not(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as wide, stage.attached(terminal) as narrow:
        await wide.resize(120, 40)
        await wide.until_kind(SIZE)
        assert wide.size == (120, 40)
        await narrow.resize(60, 50)
        await wide.until_kind(SIZE)
        assert wide.size == (60, 40)
        await wide.type("stty size\n")
        await wide.until("40 60")
        await narrow.resize(0, 0)
        await wide.until_kind(SIZE)
        assert wide.size == (120, 40)


@pytest.mark.parametrize(("asked", "got"), [((65535, 65535), "1000 1000"), ((1, 1), "2 2")])
async def test_sizes_are_clamped(stage: Stage, asked: tuple[int, int], got: str) -> None:
    async with stage.shell() as tab:
        await tab.resize(*asked)
        await tab.until_kind(SIZE)
        await tab.type("stty size > size\n")
        async with asyncio.timeout(DEADLINE_S):
            while not (stage.workspace / "size").exists() or not (stage.workspace / "size").read_text():
                await tab.step()
    assert (stage.workspace / "size").read_text().strip() == got


async def test_pings_are_answered_and_nonsense_ends_the_attachment(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.socket.send(struct.pack(">BI", PING, 4_000_000_000))
        await tab.until_kind(PONG)
        assert tab.pong == 4_000_000_000
    for nonsense in (b"", b"\x63what", bytes([ACK, 1]), bytes([1]) + bytes(2 << 20), "text", b"\x04\x13"):
        async with stage.attached(terminal) as tab:
            await tab.socket.send(nonsense)
            assert await tab.until_closed() == 1007
    async with stage.attached(f"{terminal}?after=x&") as tab:
        assert await tab.until_closed() == 1007


async def test_acknowledging_what_was_not_sent_changes_nothing(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.socket.send(struct.pack(">BQ", ACK, 2**64 - 1))
        await tab.type("echo st''ill\n")
        await tab.until("still")


async def test_unknown_and_closed_terminals_say_so(stage: Stage) -> None:
    async with stage.attached("sh-9-00000000") as nowhere:
        assert await nowhere.until_closed() == 4404
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.until_kind(OUTPUT)
        await stage.http.delete(f"/terminals/{terminal}")
        assert await tab.until_closed() == 4404
    assert (await stage.http.delete(f"/terminals/{terminal}")).status_code == 404


async def test_a_viewer_that_never_acknowledges_stops_setting_the_pace(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.proxy.terminals.terminal.STALL_S", 0.2)
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as frozen:
        frozen.acknowledges = False
        await frozen.type("seq 400000; touch done\n")
        async with asyncio.timeout(DEADLINE_S):
            while not (stage.workspace / "done").exists():
                await asyncio.sleep(0.01)
        frozen.acknowledges = True
        await frozen.until("400000\r\n")
        assert frozen.gaps


async def test_a_shell_that_cannot_start_is_explained(empty_stage: Stage) -> None:
    empty_stage.start_agent()
    await empty_stage.restart_proxy(shell=("/no/such/shell",))
    refused = await empty_stage.http.post("/terminals", json={})
    assert refused.status_code == 502
    assert "could not be started" in refused.json()["error"]["message"]
    assert (await empty_stage.http.get("/terminals")).json() == {"terminals": []}
