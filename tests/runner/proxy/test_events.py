"""What everybody who has a REPL open is told, and the proxy as a whole."""

import asyncio
import json

from tests.runner.proxy.stage import DEADLINE_S, Stage


async def test_hello_says_how_things_stand(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.events() as events:
        hello = await events.next("hello")
        assert hello["run"]["running"] is False
        assert [one["id"] for one in hello["terminals"]] == [terminal]
        assert isinstance(hello["rev"], int)
        assert isinstance(hello["ports"], list)


async def test_changes_are_told(stage: Stage) -> None:
    async with stage.events() as events:
        if (await events.next("hello"))["rev"] % 1000 == 0:
            await events.next("resync")  # the tree has been read once
        (stage.workspace / "made\udcff.txt").write_text("by a program")
        told = await events.next("tree")
        assert told["ops"][0][0] == ""
        assert told["ops"][0][1][0][:3] == ["made\udcff.txt", "f", 12]
        terminal = await stage.open_terminal()
        assert [one["id"] for one in (await events.next("terminals"))["terminals"]] == [terminal]
        full = {"message": "Full.", "action": "Delete."}
        stage.proxy.set_paused(full)
        assert (await events.next("quota"))["paused"] == full
    async with stage.events() as later:
        assert (await later.next("hello"))["paused"] == full
        stage.proxy.set_paused(None)
        assert (await later.next("quota"))["paused"] is None


async def test_a_listener_that_does_not_read_is_told_to_ask_again(stage: Stage) -> None:
    async with stage.events() as events:
        await events.next("hello")
        for number in range(5000):
            stage.proxy.set_paused({"message": "x" * 10_000, "action": str(number)})
            if number % 100 == 0:
                await asyncio.sleep(0)
        kinds = []
        async with asyncio.timeout(DEADLINE_S):
            while "resync" not in kinds:
                kinds.append(json.loads(await events.socket.recv())["type"])
            assert json.loads(await events.socket.recv())["type"] == "hello"
        assert len(kinds) < 2000
        stage.proxy.set_paused(None)
        assert (await events.next("quota"))["paused"] is None


async def test_health_and_readiness(empty_stage: Stage) -> None:
    assert (await empty_stage.http.get("/health")).json() == {"agent": False, "terminals": 0}
    assert not empty_stage.proxy.agent_connected
    empty_stage.start_agent()
    async with asyncio.timeout(DEADLINE_S):
        await empty_stage.proxy.ready()
    assert empty_stage.proxy.agent_connected
    assert (await empty_stage.http.get("/health")).json() == {"agent": True, "terminals": 0}


async def test_a_terminal_is_opened_as_soon_as_the_agent_is_there(empty_stage: Stage) -> None:
    opening = asyncio.create_task(empty_stage.open_terminal())
    empty_stage.start_agent()
    async with empty_stage.attached(await opening) as tab:
        await tab.type("echo $GREETING $TERM\n")
        await tab.until("hello there xterm-256color")


async def test_files_and_programs_see_the_same(stage: Stage) -> None:
    await stage.http.put("/files/a.txt", content=b"from the browser")
    async with stage.shell() as tab:
        await tab.type("cat a.txt; echo ba''ck > b.txt; echo do''ne\n")
        await tab.until("done")
        assert b"from the browser" in tab.text
    assert (await stage.http.get("/files/b.txt")).content == b"back\n"
    await stage.proxy.quiesce()


async def test_the_proxy_may_be_entered_and_left_by_different_tasks(stage: Stage) -> None:
    await asyncio.create_task(stage.proxy.__aexit__(None, None, None))
    await asyncio.create_task(stage.start_proxy())
    async with asyncio.timeout(DEADLINE_S):
        await stage.proxy.ready()
    assert (await stage.http.get("/health")).json()["agent"] is True


async def test_what_cannot_start_says_so(stage: Stage) -> None:
    await stage.proxy.__aexit__(None, None, None)
    moved = stage.workspace.rename(stage.workspace.with_name("moved"))
    try:
        await stage.start_proxy()
    except FileNotFoundError:
        pass
    else:
        raise AssertionError("there is no workspace")
    moved.rename(stage.workspace)
    await stage.start_proxy()
