"""Several people on one terminal: who types, who only looks, whose window counts."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.runner.proxy.stage import DEADLINE_S, READY, SIGNAL, SIZE, Stage, Tab


@asynccontextmanager
async def here(stage: Stage, terminal: str, *, name: str = "Una", role: str = "writer") -> AsyncIterator[Tab]:
    async with stage.attached(terminal, name=name, role=role) as tab:
        await tab.until_kind(READY)
        yield tab


async def told(tab: Tab, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The people on the terminal, once that holds of what the tab was told about them."""
    async with asyncio.timeout(DEADLINE_S):
        while tab.people is None or not holds(tab.people):
            await tab.step()
    return tab.people


def names(about: dict[str, Any]) -> list[str]:
    return [one["name"] for one in about["people"]]


def number(tab: Tab) -> int:
    assert tab.ready
    return int(tab.ready["you"])


async def test_who_is_alone_is_told_of_nobody_also_on_several_devices(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as laptop, stage.attached(terminal) as phone:
        await laptop.type("echo fr''om laptop\n")
        await phone.until("from laptop")
        await phone.type("echo fr''om phone\n")
        await laptop.until("from phone")
        for tab in (laptop, phone):
            await tab.pinged()
            assert tab.people is None
            assert tab.refused is None
        assert number(laptop) == number(phone)


async def test_while_one_types_the_keys_of_another_are_refused_and_that_is_told(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with here(stage, terminal, name="Ada") as ada, here(stage, terminal, name="Ben") as ben:
        await ada.type("stty -echo; PS1=; echo re''ady; cat > typed\n")
        await ben.until("ready\r\n")
        about = await told(ben, lambda about: about["turn"] is not None)
        assert sorted(names(about)) == ["Ada", "Ben"]
        assert about["turn"] == number(ada)
        await ben.type("by ben\n")
        await ben.type("\x03")
        await ben.socket.send(bytes([SIGNAL, 9]))
        await ben.pinged()
        assert ben.refused == {"why": "turn", "by": number(ada), "bytes": 8}  # keys, and no signals
        await ada.type("by ada\n\x04")
        await ada.type("cat typed; echo do''ne\n")
        await ada.until("done")
        assert ada.text.endswith(b"ready\r\nby ada\r\ndone\r\n")
        assert ada.refused is None


async def test_the_turn_is_taken_over_and_handed_to_a_named_person(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with (
        here(stage, terminal, name="Ada") as ada,
        here(stage, terminal, name="Ben") as ben,
        here(stage, terminal, name="Cy") as cy,
    ):
        await ada.type("stty -echo; PS1=; echo re''ady; cat\n")
        for tab in (ada, ben, cy):
            await tab.until("ready\r\n")
            await told(tab, lambda about: about["turn"] == number(ada) and len(about["people"]) == 3)
        await cy.give(number(ben))  # it is not Cy's to give
        await cy.pinged()
        assert cy.refused == {"why": "turn", "by": number(ada), "bytes": 0}
        await ben.give(number(ben))
        await told(ada, lambda about: about["turn"] == number(ben))
        await ada.type("ada.")
        await ada.pinged()
        assert ada.refused
        await ben.give(number(cy))
        await told(cy, lambda about: about["turn"] == number(cy))
        await ben.type("ben.")
        await cy.type("cy\n")
        await cy.until("cy\r\n")
        await cy.give(12345)  # nobody
        await cy.pinged()
        assert b"ada." not in cy.text
        assert b"ben." not in cy.text
        assert cy.people
        assert cy.people["turn"] == number(cy)


async def test_the_turn_is_nobodys_when_its_holder_left_or_types_no_more(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = await stage.open_terminal()
    async with here(stage, terminal, name="Ada") as ada:
        async with here(stage, terminal, name="Ben") as ben:
            await ben.type("stty -echo; PS1=; echo re''ady; cat\n")
            await told(ada, lambda about: about["turn"] == number(ben))
        about = await told(ada, lambda about: not about["people"])
        assert about["turn"] is None
        await ada.until("ready\r\n")
        await ada.type("ada\n")
        await ada.until("ada\r\n")
        monkeypatch.setattr("runner.proxy.terminals.turns.HELD_S", 0.05)
        monkeypatch.setattr("runner.proxy.terminals.turns.GIVEN_S", 0.05)
        async with here(stage, terminal, name="Ben") as ben:
            await ben.pinged()
            await ben.give(number(ben))
            await told(ben, lambda about: about["turn"] == number(ben))
            await told(ben, lambda about: about["turn"] is None)
            await ada.type("again\n")
            await ada.until("again\r\n")


async def test_who_may_only_look_is_refused_and_decides_nothing(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with here(stage, terminal, name="Ada") as ada, here(stage, terminal, role="reader", name="Eve") as eve:
        about = await told(ada, lambda about: len(about["people"]) == 2)
        assert {one["name"]: one["can_write"] for one in about["people"]} == {"Ada": True, "Eve": False}
        await ada.resize(100, 30)
        await ada.until_kind(SIZE)
        await eve.resize(40, 10)
        await eve.type("touch by-eve\n")
        await eve.pinged()
        assert eve.refused == {"why": "read_only", "by": None, "bytes": 13}
        await eve.socket.send(bytes([SIGNAL, 9]))
        await eve.give(number(eve))
        await eve.pinged()
        assert eve.refused == {"why": "read_only", "by": None, "bytes": 13}
        await ada.give(number(eve))  # who may only look cannot be given it
        await ada.pinged()
        assert eve.people
        assert eve.people["turn"] is None
        assert ada.size == eve.size == (100, 30)
        await ada.type("ls; stty size; echo do''ne\n")
        await ada.until("done")
        assert b"30 100" in ada.text
        assert b"by-eve" not in ada.text


async def test_the_window_of_who_types_decides_and_a_pause_resizes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.proxy.terminals.turns.HELD_S", 0.05)
    terminal = await stage.open_terminal()
    async with here(stage, terminal, name="Ada") as ada, here(stage, terminal, name="Ben") as ben:
        await ada.resize(120, 40)
        await ada.until_kind(SIZE)
        await ben.resize(60, 20)
        await ada.until_kind(SIZE)
        assert ada.size == (60, 20), "it is nobody's turn: both see everything"
        await ada.type("\x15")
        await ada.until_kind(SIZE)
        assert ada.size == (120, 40)
        await told(ada, lambda about: about["turn"] == number(ada))
        await told(ada, lambda about: about["turn"] is None)
        await ada.pinged()
        assert ada.size == (120, 40)
        await ben.type("\x15")
        await ben.until_kind(SIZE)
        await told(ben, lambda about: about["turn"] == number(ben))
        await ben.resize(0, 0)
        await ada.until_kind(SIZE)
        await ada.until_kind(SIZE)
        assert ada.size == (120, 40), "a window that is hidden decides nothing"


async def test_a_programs_question_is_answered_by_who_has_the_turn(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with here(stage, terminal, name="Ada") as ada, here(stage, terminal, name="Ben") as ben:
        await ben.type("stty -echo -icanon; PS1=; echo re''ady; cat\n")
        await ada.until("ready\r\n")
        await ada.type("\x1b[5;7R")  # she came first, but it is his turn
        await ada.type("\x1b[I")
        await ada.type("\x1b[<35;5;5M")
        await ada.pinged()
        assert ada.refused is None, "none of that is a key"
        await ben.until("ready\r\n")
        await ben.type("\x1b[?1;2c")
        await ben.until("\x1b[?1;2c")
        assert ben.text.endswith(b"ready\r\n\x1b[?1;2c")


async def test_of_a_crowd_some_are_named_and_all_are_counted(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.proxy.terminals.people.MOST_TOLD", 3)
    terminal = await stage.open_terminal()
    async with AsyncExitStack() as crowd, here(stage, terminal, name="Ada") as ada:
        for n in range(5):
            await crowd.enter_async_context(here(stage, terminal, role="reader", name=f"{n}" + "x" * 500))
        about = await told(ada, lambda about: about["count"] == 6)
        assert len(about["people"]) == 3
        assert names(about)[0] == "Ada"
        assert max(map(len, names(about))) == 80


async def test_a_turn_for_nobody_is_no_message(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.socket.send(struct.pack(">BH", 6, 1))
        assert await tab.until_closed() == 1007


async def test_refused_keys_are_told_once_for_many(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with here(stage, terminal, role="reader") as reader:
        for _ in range(2000):
            await reader.type("x")
        await reader.pinged()
        assert reader.refused
        assert reader.refused["bytes"] == 2000
