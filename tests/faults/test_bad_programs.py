"""Programs: one that ignores SIGTERM, fork bombs, a missing interpreter, a taken port, a killed sandbox."""

import asyncio
import json
import signal
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.faults.browser import DEADLINE_S, SENTENCE, Browser, Json, Repl, refusal
from tests.runner.proxy.stage import EXITED
from tests.runner.proxy.stage import Tab as Terminal

pytestmark = pytest.mark.xdist_group("faults")

DEAF = 'trap "" TERM HUP INT; echo up; while true; do sleep 1; done'
SERVER = "python3 -u -m http.server --bind 127.0.0.1 3000"


async def until_phase(repl: Repl, phase: str) -> Json:
    async with asyncio.timeout(DEADLINE_S):
        while (about := await repl.about())["phase"] != phase:
            await asyncio.sleep(0.05)
    return about


async def until_ended(terminal: Terminal) -> tuple[int, int]:
    """-> exit status and signal, as the browser is told."""
    await terminal.until_kind(EXITED)
    assert terminal.exit
    return terminal.exit["status"], terminal.exit["signal"]


async def until_listening(repl: Repl, port: int) -> None:
    async with repl.events() as events, asyncio.timeout(DEADLINE_S):
        message = await events.next("hello")
        while port not in [one["port"] for one in message["ports"]]:
            message = await events.next("ports")


async def test_a_program_that_ignores_sigterm(ada: Browser, repl: Repl) -> None:
    other = await ada.create()

    async def its_run_is_stopped() -> None:
        async with repl.attached(await repl.run(DEAF)) as terminal:
            await terminal.until("up")
            stopped = (await repl.post("stop")).json()
            assert (stopped["running"], stopped["exit_code"]) == (False, 128 + signal.SIGKILL)
            assert await until_ended(terminal) == (128 + signal.SIGKILL, signal.SIGKILL)

    async def its_repl_is_stopped() -> None:
        async with other.shell() as terminal:
            await terminal.type(f"stty -echo\n{DEAF}\n")
            await terminal.until("up\r\n")
            await other.do("stop")
            await terminal.until_closed()
        assert (await until_phase(other, "stopped"))["failure"] is None

    await asyncio.gather(its_run_is_stopped(), its_repl_is_stopped())
    refusal(await ada.refused_socket(other.at("documents")), 409)


async def test_a_fork_bomb(ada: Browser, repl: Repl) -> None:
    other = await ada.create()
    async with repl.shell() as terminal, repl.tab("kept.txt") as tab:
        await terminal.type("bomb() { bomb | bomb & }; bomb; echo st''arted\n")
        await terminal.until("Resource temporarily unavailable")
        said = await repl.post("exec", {"command": "echo fine"})
        assert said.status_code == 200 or "could not be started" in refusal(said, 502)
        await tab.type(0, "typed meanwhile ")
        await tab.flush()
        assert (await other.execute("echo fine"))["output"] == "fine\n"
        await repl.do("stop")
        await terminal.until_closed()
    await until_phase(repl, "stopped")
    await repl.start()
    assert (await repl.execute("cat kept.txt"))["output"].startswith("typed meanwhile ")
    await repl.execute("sed -i 's/typed meanwhile //' kept.txt")


async def test_a_missing_interpreter(repl: Repl) -> None:
    async with repl.attached(await repl.run("nosuch main.x")) as terminal:
        assert await until_ended(terminal) == (127, 0)
        assert b"nosuch: not found" in terminal.text
    state = (await repl.get("run")).json()
    assert (state["running"], state["exit_code"]) == (False, 127)
    await repl.put("files/script", "#!/usr/bin/nosuch\n")
    said = await repl.execute("chmod +x script; ./script")
    assert (said["exit_code"], "./script: not found" in said["output"]) == (127, True)


async def test_a_template_whose_tool_is_missing(eve: Browser) -> None:
    templates = {one["name"]: one["missing"] for one in (await eve.http.get("/api/templates")).json()}
    assert templates["python"] is None
    assert templates["node"].startswith("node is not installed on this server. ")
    refused = await eve.http.post("/api/repls", json={"name": "REPL", "template": "node"})
    assert "node is not installed on this server. " in refusal(refused, 422)
    repl = await eve.create()
    async with repl.attached(await repl.run("node main.js")) as terminal:
        status, _ = await until_ended(terminal)
        assert status in (126, 127)
        assert b"node: " in terminal.text


async def test_no_command_and_a_mistake_in_the_configuration(repl: Repl) -> None:
    await repl.put("files/.devex.toml", "run = 'not closed\n")
    assert ".devex.toml cannot be read" in refusal(await repl.post("run"), 400)


async def visit(repl: Repl, port: int) -> tuple[str, dict[str, str]]:
    """Enter the preview of a port -> its host, and what its browser sends there."""
    asked = await repl.browser.http.post(f"/api/repls/{repl.id}/preview", json={"port": port})
    assert asked.status_code == 200, asked.text
    url = urlsplit(asked.json()["url"])
    async with httpx.AsyncClient(base_url=repl.browser.origin, trust_env=False) as browser:
        entered = await browser.get(f"{url.path}?{url.query}", headers={"Host": url.netloc})
    assert entered.status_code == 303
    return url.netloc, {"Host": url.netloc, "Cookie": entered.headers["set-cookie"].partition(";")[0]}


async def test_a_taken_port(ada: Browser, repl: Repl) -> None:
    other = await ada.create()
    async with repl.shell() as first:
        await first.type(f"{SERVER}\n")
        await until_listening(repl, 3000)
        async with repl.attached(await repl.run(SERVER)) as second:
            assert await until_ended(second) == (1, 0)
            assert b"Address already in use" in second.text
        host, headers = await visit(repl, 3000)
        async with httpx.AsyncClient(base_url=ada.origin, trust_env=False, headers=headers) as preview:
            assert (await preview.get("/kept.txt")).text == await repl.text("kept.txt")
            await other.run(SERVER)  # every REPL has its own ports
            await until_listening(other, 3000)
            await first.type("\x03")
            async with asyncio.timeout(DEADLINE_S):
                while (closed := await preview.get("/kept.txt")).status_code == 200:
                    await asyncio.sleep(0.05)
        assert "port 3000" in refusal(closed, 502)
        opening = connect(
            f"ws://{host}/", host="127.0.0.1", port=urlsplit(ada.origin).port, origin=Origin(f"http://{host}"),
            additional_headers={"Cookie": headers["Cookie"]}, proxy=None,
        )  # fmt: skip
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert refused.value.response.status_code == 502
        assert "port 3000" in json.loads(refused.value.response.body)["error"]["message"]
    await other.do("stop")


def first_process(repl: Repl) -> psutil.Process:
    """The sandbox's first, found from the outside: the agent's parent, above a program that has this REPL's name."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("DEVEX_REPL_ID") == repl.id:
                return process.parents()[1]
        except psutil.Error:
            continue
    raise AssertionError("nothing runs in it")


@pytest.mark.parametrize("killer", ["user", "host", "launcher"])
async def test_a_killed_sandbox(repl: Repl, killer: str) -> None:
    async with repl.shell() as terminal, repl.tab("kept.txt") as tab, repl.events() as events:
        await terminal.type("echo re''ady\n")
        await terminal.until("ready")
        await tab.type(0, "not yet saved ")
        if killer == "user":
            await terminal.type("kill -9 -1\n")
        else:  # above the first process is bubblewrap's outer half, and above that the launcher
            first = first_process(repl)
            (first if killer == "host" else first.parents()[1]).kill()
        await terminal.until_closed()
        await events.socket.wait_closed()
        assert events.socket.close_reason
    about = await until_phase(repl, "failed")
    assert SENTENCE.fullmatch(about["failure"])
    assert ("launcher ended" if killer == "launcher" else "ended by itself") in about["failure"]
    assert (await repl.text("kept.txt")).startswith("not yet saved ")
    refusal(await repl.put("files/kept.txt", "no"), 409)
    refusal(await repl.browser.refused_socket(repl.at("documents")), 409)
    await repl.start()
    assert (await repl.execute("sed -i 's/not yet saved //' kept.txt"))["exit_code"] == 0
