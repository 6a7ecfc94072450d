"""Terminals whose proxy or agent is away for a while: programs run on, and what they say is shown afterwards."""

import asyncio
import hashlib
import random
import signal
from unittest.mock import patch

from tests.runner.proxy.stage import DEADLINE_S, EXITED, Stage, counted


async def test_a_restarted_proxy_shows_everything_again_and_programs_ran_on(stage: Stage) -> None:
    terminal = await stage.open_terminal(cols=90, rows=20)
    async with stage.attached(terminal) as tab:
        await tab.type("stty -echo; PS1=; echo be''gin; read line; seq 2000; echo e''nd $line\n")
        await tab.until("begin\r\n")
        await stage.proxy.__aexit__(None, None, None)
        assert await tab.until_closed() == 1012
    await stage.start_proxy()
    async with asyncio.timeout(DEADLINE_S):
        await stage.proxy.ready()
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    assert [(one["id"], one["title"], one["kind"]) for one in listed] == [(terminal, "Shell 1", "shell")]
    async with stage.attached(terminal, after=tab.offset) as again:
        await again.type("typed\n")
        await again.until("end typed\r\n")
    assert bytes(again.text) == counted(2000) + b"end typed\r\n"
    async with stage.attached(terminal) as fresh:
        await fresh.until("end typed\r\n")
        assert fresh.text.endswith(tab.text + again.text)


async def test_output_while_the_proxy_is_away_is_shown_afterwards(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    done = stage.workspace / "done"
    async with stage.attached(terminal) as tab:
        await tab.type("stty -echo; PS1=; echo be''gin; until [ -e go ]; do :; done; seq 5000; touch done\n")
        await tab.until("begin\r\n")
    await stage.proxy.__aexit__(None, None, None)
    (stage.workspace / "go").touch()
    async with asyncio.timeout(DEADLINE_S):
        while not done.exists():
            await asyncio.sleep(0.01)
    await stage.start_proxy()
    await stage.proxy.ready()
    async with stage.attached(terminal, after=tab.offset) as again:
        await again.until("\r\n5000\r\n")
    assert bytes(again.text) == counted(5000)


async def test_when_the_agent_dies_terminals_are_shown_as_ended(stage: Stage) -> None:
    agent = stage.agents[-1]
    async with stage.shell() as tab:
        await tab.until("$ ")
        agent.kill()
        await stage.agent_gone()
        stage.start_agent()
        await tab.until_kind(EXITED)
        assert tab.exit
        assert tab.exit["lost"] is True
    (record,) = (await stage.http.get("/records")).json()["records"]
    assert record["exit"] == {"status": -1, "signal": 0, "lost": True}


async def test_keys_typed_while_the_agent_is_away_arrive(stage: Stage) -> None:
    """The link is cut, not the agent: it dials again by itself."""
    async with stage.shell() as tab:
        await tab.until("$ ")
        await stage.cut_the_link()
        await tab.type("echo he''ld\n")
        await tab.until("held")


async def test_keys_that_come_just_when_the_link_is_cut_arrive(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.until("$ ")
        terminals, link = stage.proxy._terminals, stage.proxy._link
        assert link._control
        link._control.close()
        terminals.type(terminals.get(terminal), b"echo he''ld\n")
        await tab.until("held")
        assert tab.exit is None


@patch("runner.proxy.link.GONE_S", 0.1)
async def test_keys_go_with_a_terminal_that_is_taken_for_ended(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.until("$ ")
        stage.agents[-1].send_signal(signal.SIGSTOP)
        await stage.cut_the_link()
        await tab.type("echo he''ld\n")
        await tab.until_kind(EXITED)
        stage.agents[-1].send_signal(signal.SIGCONT)
        async with asyncio.timeout(DEADLINE_S):
            await stage.proxy.ready()
        await tab.type("echo af''terwards\n")
        await tab.until("afterwards")
        assert b"held" not in tab.text


async def test_a_paste_while_the_agent_is_away_arrives_whole(stage: Stage) -> None:
    paste = random.Random(4).randbytes(200_000)
    async with stage.shell() as tab:
        await tab.type(f"stty raw -echo; echo re''ady; head -c {len(paste)} | sha256sum; stty sane\n")
        await tab.until("ready")
        stage.agents[-1].send_signal(signal.SIGSTOP)
        await stage.cut_the_link()
        for at in range(0, len(paste), 16_000):
            await tab.type(paste[at : at + 16_000])
        stage.agents[-1].send_signal(signal.SIGCONT)
        await tab.until(hashlib.sha256(paste).hexdigest())


async def test_a_terminal_closed_while_the_agent_is_away_does_not_come_back(stage: Stage) -> None:
    kept, closed = await stage.open_terminal(), await stage.open_terminal()
    await stage.cut_the_link()
    assert (await stage.http.delete(f"/terminals/{closed}")).status_code == 204
    async with asyncio.timeout(DEADLINE_S):
        await stage.proxy.ready()
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    assert [(one["id"], one["exit"]) for one in listed] == [(kept, None)]
