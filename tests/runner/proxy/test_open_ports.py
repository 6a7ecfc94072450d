"""Which ports are open, which speak HTTP, and what is said of one that is closed."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus

from tests.ports import free_port
from tests.runner.proxy.program import listening
from tests.runner.proxy.stage import DEADLINE_S, EXITED, Listener, Stage


async def test_a_closed_port_is_a_page_with_a_sentence(stage: Stage) -> None:
    port = free_port()
    page = await stage.http.get(f"/ports/{port}/", headers={"Accept": "text/html"})
    assert page.status_code == 502
    assert f"Nothing in this REPL answers on port {port}." in page.text
    assert 'http-equiv="refresh"' in page.text
    data = await stage.http.get(f"/ports/{port}/", headers={"Accept": "application/json"})
    assert data.json()["error"]["code"] == "port_closed"
    with pytest.raises(InvalidStatus) as refused:
        async with stage.port_socket(port, "/ws"):
            pass
    assert refused.value.response.status_code == 502
    assert "preview" not in stage.activity  # a page that asks again and again keeps nothing awake


async def test_a_closed_port_says_what_became_of_the_program(stage: Stage) -> None:
    port = free_port()
    (stage.workspace / ".devex.toml").write_text("run = 'read line; exit 3'")
    told = (await stage.http.post("/run", json={})).json()
    refused = (await stage.http.get(f"/ports/{port}/")).json()["error"]
    assert refused["message"] == f"Nothing in this REPL answers on port {port}: its program has not opened it."
    async with stage.attached(told["terminal"]) as program:
        await program.type("go on\n")
        await program.until_kind(EXITED)
    refused = (await stage.http.get(f"/ports/{port}/")).json()["error"]
    assert refused["message"] == f"Nothing in this REPL answers on port {port}: its program ended with exit code 3."


@pytest.mark.parametrize("port", ["0", "80", "65536", "99999999999999999999"])
async def test_other_ports_do_not_exist(stage: Stage, port: str) -> None:
    assert (await stage.http.get(f"/ports/{port}/")).status_code == 404


async def test_open_ports_are_told(stage: Stage) -> None:
    async with stage.events() as events:
        await events.next("hello")
        async with listening() as (_, port):
            async with asyncio.timeout(DEADLINE_S):
                while port not in await told_ports(events):
                    pass


async def told_ports(events: Listener) -> dict[int, bool | None]:
    return {one["port"]: one["web"] for one in (await events.next("ports"))["ports"]}


async def test_a_visit_tells_whether_a_port_speaks_http(stage: Stage) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    other = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with stage.events() as events, listening() as (_, port), silent, other, asyncio.timeout(DEADLINE_S):
        ports = [port, *(server.sockets[0].getsockname()[1] for server in (silent, other))]
        while not set(ports) <= set(told := await told_ports(events)):
            pass
        assert [told[one] for one in ports] == [None, None, None]
        for one in ports:
            await stage.http.get(f"/ports/{one}/asked/")
        while [told[one] for one in ports] != [True, False, False]:
            told = await told_ports(events)
