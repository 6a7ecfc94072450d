"""WebSockets of programs behind ports, through the proxy."""

import asyncio
import json
import random
import re
import struct

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runner.proxy.ports import websocket as ports_websocket
from tests.runner.proxy.program import Program, saying
from tests.runner.proxy.stage import DEADLINE_S, Stage

EMPTY_PARTS = b"\x02\0" + b"\0\0" * 5_000  # of one message that never ends


async def test_messages_pass_both_ways_and_the_handshake_is_cleaned(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served
    headers = {"Cookie": "own=1; devex_session=secret", "X-Devex-User": "secret", "Authorization": "Bearer devex_x"}
    async with (
        asyncio.timeout(DEADLINE_S),
        stage.port_socket(
            port, "/ws?token=a%20b", additional_headers=headers, subprotocols=["chat"], origin=stage.url
        ) as connection,
    ):
        assert connection.subprotocol == "chat"
        told = json.loads(await connection.recv())
        assert told["query"] == "token=a%20b"
        assert told["headers"]["cookie"] == "own=1"
        assert told["headers"]["host"] == f"localhost:{port}"
        assert told["headers"]["origin"] == f"http://localhost:{port}"
        assert told["headers"]["x-forwarded-host"] == stage.url.removeprefix("http://")
        assert not re.search("secret|devex|extensions", json.dumps(told))
        for message in ("text ü", b"\x00bytes", "", b"", random.Random(5).randbytes(3 << 20), "x" * 1_000_000):
            await connection.send(message)
            assert await connection.recv() == message
        await connection.close(4000)
    async with asyncio.timeout(DEADLINE_S):
        await program.left.wait()
    assert program.close_code == 4000


async def test_a_program_closes_with_its_own_code_or_refuses(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    async with asyncio.timeout(DEADLINE_S), stage.port_socket(port, "/ws") as connection:
        await connection.recv()
        await connection.send("close")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert (connection.close_code, connection.close_reason) == (4321, "as you wish")
    with pytest.raises(InvalidStatus) as refused:
        async with stage.port_socket(port, "/ws-refused"):
            pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b"not you"


async def test_a_slow_browser_holds_up_the_programs_socket(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served
    async with asyncio.timeout(DEADLINE_S), stage.port_socket(port, "/ws-endless", close_timeout=0.2) as connection:
        await connection.recv()
        seen = -1
        while program.sent_bytes > seen:
            seen = program.sent_bytes
            await asyncio.sleep(0.3)
        assert seen < 64 << 20
    async with asyncio.timeout(DEADLINE_S):
        await program.left.wait()


async def test_a_message_of_endless_empty_parts_is_too_big(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_websocket, "MAX_MESSAGE_BYTES", 64 * 1024)
    async with saying(EMPTY_PARTS) as port, asyncio.timeout(DEADLINE_S), stage.port_socket(port, "/") as connection:
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1009


async def test_programs_of_one_repl_begin_no_more_than_is_held(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_websocket, "HELD_BYTES", 64 * 1024)
    part = b"\x7e" + struct.pack(">H", 40_000) + b"x" * 40_000
    async with asyncio.timeout(DEADLINE_S), saying(b"\x02" + part) as beginning, saying(b"\x82" + part) as whole:
        async with stage.port_socket(beginning, "/"):
            while stage.proxy._streams._held.size_bytes < 40_000:
                await asyncio.sleep(0.01)
            async with stage.port_socket(whole, "/") as other:
                with pytest.raises(ConnectionClosed):
                    await other.recv()
                assert other.close_code == 1009
        while stage.proxy._streams._held.size_bytes:
            await asyncio.sleep(0.01)
        async with stage.port_socket(whole, "/") as other:
            assert len(await other.recv()) == 40_000
