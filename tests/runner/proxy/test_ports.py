"""Programs behind ports, asked through the proxy by HTTP and WebSocket."""

import asyncio
import base64
import hashlib
import json
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runner.proxy.ports import websocket as ports_websocket
from runner.proxy.ports.streams import PIECES_A_TURN
from tests.runner.proxy.program import Program, listening
from tests.runner.proxy.stage import DEADLINE_S, EXITED, Listener, Stage


@pytest.fixture
async def served() -> AsyncIterator[tuple[Program, int]]:
    async with listening() as served:
        yield served


@asynccontextmanager
async def websocket(stage: Stage, port: int, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    url = f"{stage.url.replace('http', 'ws')}/ports/{port}{path}"
    async with connect(url, compression=None, max_size=None, proxy=None, **options) as connection:
        yield connection


async def test_a_request_arrives_as_it_was_sent(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    answer = await stage.http.post(
        f"/ports/{port}/asked/a%20b/%C3%BC%2F?x=1&y=%20",
        content=b"body",
        headers={"Content-Type": "text/plain", "X-Mine": "kept", "Authorization": "Bearer of-the-program"},
    )
    told = answer.json()
    headers = dict(told["headers"])
    assert (told["method"], told["path"], told["query"]) == ("POST", "/asked/a%20b/%C3%BC%2F", "x=1&y=%20")
    assert told["body"] == "body"
    assert (headers["x-mine"], headers["authorization"]) == ("kept", "Bearer of-the-program")
    assert headers["host"] == f"localhost:{port}"
    assert headers["x-forwarded-host"] == stage.url.removeprefix("http://")
    assert headers["x-forwarded-proto"] == "http"
    assert answer.headers["x-own"] == "2"
    assert "x-devex-trick" not in answer.headers
    assert "clear-site-data" not in answer.headers
    assert "preview" in stage.activity


async def test_what_belongs_to_the_platform_stays_here(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    answer = await stage.http.get(
        f"/ports/{port}/asked/",
        headers={
            "Cookie": "own=1; devex_session=secret; __Host-devex_preview=secret; other=2",
            "X-Devex-User": "secret",
            "Authorization": "Bearer devex_secret",
            "Origin": stage.url,
            "Connection": "keep-alive, X-Hop",
            "X-Hop": "secret",
        },
    )
    assert "secret" not in answer.text
    headers = dict(answer.json()["headers"])
    assert headers["cookie"] == "own=1; other=2"
    assert headers["origin"] == f"http://localhost:{port}"
    set_cookies = (await stage.http.get(f"/ports/{port}/cookies")).headers.get_list("set-cookie")
    assert set_cookies == ["own=1; Path=/"]


@pytest.mark.parametrize(
    ("to", "location"),
    [
        ("http://localhost:PORT/login?x=1", "/login?x=1"),
        ("http://127.0.0.1:PORT", "/"),
        ("/relative", "/relative"),
        ("https://example.org/", "https://example.org/"),
        ("http://localhost:PORT9/", "http://localhost:PORT9/"),
    ],
)
async def test_redirects_to_itself_stay_in_the_preview(
    stage: Stage, served: tuple[Program, int], to: str, location: str
) -> None:
    _, port = served
    answer = await stage.http.get(f"/ports/{port}/redirect", params={"to": to.replace("PORT", str(port))})
    assert answer.headers["location"] == location.replace("PORT", str(port))


async def test_a_large_upload_arrives_whole(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    data = random.Random(3).randbytes(8 << 20)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 300_000):
            yield data[at : at + 300_000]

    for content in (data, chunks()):
        told = (await stage.http.post(f"/ports/{port}/digest", content=content)).json()
        assert told == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


async def test_an_answer_before_the_whole_upload_is_passed_on(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    reader, writer = await asyncio.open_connection("127.0.0.1", int(stage.url.rpartition(":")[2]))
    writer.write(b"POST /ports/%d/refuse-early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome" % port)
    async with asyncio.timeout(DEADLINE_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        await reader.readuntil(b"too much")
    writer.close()
    await writer.wait_closed()


async def test_a_refusal_arrives_while_much_is_still_sent(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    place = stage.url.removeprefix("http://").split(":")
    for _ in range(10):
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"POST /ports/%d/refuse-early HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" % port)
        writer.write(bytes(8_000_000))
        async with asyncio.timeout(DEADLINE_S):
            assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.transport.abort()


async def test_pieces_are_passed_on_as_they_come(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served
    async with stage.http.stream("GET", f"/ports/{port}/pieces") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"first"
        program.may_answer.set()
        assert await anext(pieces) == b"second"


async def test_a_browser_that_leaves_or_is_slow_does_so_for_the_program_too(
    stage: Stage, served: tuple[Program, int]
) -> None:
    program, port = served
    async with stage.http.stream("GET", f"/ports/{port}/endless") as answer, asyncio.timeout(DEADLINE_S):
        await anext(answer.aiter_raw())
        seen = -1
        while program.sent_bytes > seen:  # until it is held up because we do not read on
            seen = program.sent_bytes
            await asyncio.sleep(0.3)
        assert seen < 64 << 20
    async with asyncio.timeout(DEADLINE_S):
        await program.left.wait()


async def test_other_methods_and_empty_answers(stage: Stage, served: tuple[Program, int]) -> None:
    _, port = served
    assert (await stage.http.head(f"/ports/{port}/asked/")).content == b""
    assert (await stage.http.delete(f"/ports/{port}/asked/")).json()["method"] == "DELETE"
    assert (await stage.http.get(f"/ports/{port}/nowhere")).status_code == 404
    assert (await stage.http.get(f"/ports/0{port}/asked/ports/{port}/x")).json()["path"] == f"/asked/ports/{port}/x"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_closed_port_is_a_page_with_a_sentence(stage: Stage) -> None:
    port = free_port()
    page = await stage.http.get(f"/ports/{port}/", headers={"Accept": "text/html"})
    assert page.status_code == 502
    assert f"Nothing in this REPL answers on port {port}." in page.text
    assert 'http-equiv="refresh"' in page.text
    data = await stage.http.get(f"/ports/{port}/", headers={"Accept": "application/json"})
    assert data.json()["error"]["code"] == "port_closed"
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(stage, port, "/ws"):
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


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"",
    ],
)
async def test_what_is_no_web_page_is_refused(stage: Stage, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await stage.http.get(f"/ports/{port}/")).status_code == 502


async def test_messages_pass_both_ways_and_the_handshake_is_cleaned(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served
    headers = {"Cookie": "own=1; devex_session=secret", "X-Devex-User": "secret", "Authorization": "Bearer devex_x"}
    async with (
        asyncio.timeout(DEADLINE_S),
        websocket(
            stage, port, "/ws?token=a%20b", additional_headers=headers, subprotocols=["chat"], origin=stage.url
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
    async with asyncio.timeout(DEADLINE_S), websocket(stage, port, "/ws") as connection:
        await connection.recv()
        await connection.send("close")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert (connection.close_code, connection.close_reason) == (4321, "as you wish")
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(stage, port, "/ws-refused"):
            pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b"not you"


async def test_a_slow_browser_holds_up_the_programs_socket(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served
    async with asyncio.timeout(DEADLINE_S), websocket(stage, port, "/ws-endless", close_timeout=0.2) as connection:
        await connection.recv()
        seen = -1
        while program.sent_bytes > seen:
            seen = program.sent_bytes
            await asyncio.sleep(0.3)
        assert seen < 64 << 20
    async with asyncio.timeout(DEADLINE_S):
        await program.left.wait()


TINY_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5_000 + b"0\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
EMPTY_MESSAGES = b"\x82\0" * 5_000 + b"\x88\x02\x03\xe8"
EMPTY_PARTS = b"\x02\0" + b"\0\0" * 5_000  # of one message that never ends


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """-> the port of a program that says this, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if key := re.search(rb"(?i)sec-websocket-key: (\S+)", head):
            accept = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            writer.write(SWITCHED + base64.b64encode(accept) + b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("kind", "answer", "pieces"), [("http", TINY_CHUNKS, 5_002), ("websocket", EMPTY_MESSAGES, 5_002)]
)
async def test_tiny_pieces_leave_others_their_turn(stage: Stage, kind: str, answer: bytes, pieces: int) -> None:
    sent = at_once = most_at_once = 0
    messages = [{"type": "http.request"} if kind == "http" else {"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(_: MutableMapping[str, Any]) -> None:
        nonlocal sent, at_once, most_at_once
        sent, at_once = sent + 1, at_once + 1
        most_at_once = max(most_at_once, at_once)

    async def others() -> None:
        nonlocal at_once
        while True:
            at_once = 0
            await asyncio.sleep(0)

    async with saying(answer) as port, asyncio.timeout(DEADLINE_S):
        path, scheme = f"/ports/{port}/", "http" if kind == "http" else "ws"
        scope = {"type": kind, "method": "GET", "path": path, "query_string": b"", "headers": [], "scheme": scheme}
        turns = asyncio.create_task(others())
        await stage.proxy(scope, receive, send)
        turns.cancel()
    assert sent == pieces
    assert most_at_once <= PIECES_A_TURN


async def test_a_message_of_endless_empty_parts_is_too_big(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_websocket, "MAX_MESSAGE_BYTES", 64 * 1024)
    async with saying(EMPTY_PARTS) as port, asyncio.timeout(DEADLINE_S), websocket(stage, port, "/") as connection:
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 1009


async def test_programs_of_one_repl_begin_no_more_than_is_held(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_websocket, "HELD_BYTES", 64 * 1024)
    part = b"\x7e" + struct.pack(">H", 40_000) + b"x" * 40_000
    async with asyncio.timeout(DEADLINE_S), saying(b"\x02" + part) as beginning, saying(b"\x82" + part) as whole:
        async with websocket(stage, beginning, "/"):
            while stage.proxy._streams._held.size_bytes < 40_000:
                await asyncio.sleep(0.01)
            async with websocket(stage, whole, "/") as other:
                with pytest.raises(ConnectionClosed):
                    await other.recv()
                assert other.close_code == 1009
        while stage.proxy._streams._held.size_bytes:
            await asyncio.sleep(0.01)
        async with websocket(stage, whole, "/") as other:
            assert len(await other.recv()) == 40_000


async def test_connections_are_counted_and_given_back(stage: Stage, served: tuple[Program, int]) -> None:
    program, port = served

    async def ask() -> int:
        async with stage.http.stream("GET", f"/ports/{port}/pieces") as answer:
            async for _ in answer.aiter_raw():
                pass
            return answer.status_code

    many = [asyncio.create_task(ask()) for _ in range(64)]
    async with asyncio.timeout(DEADLINE_S):
        while stage.proxy._streams._open < len(many):
            await asyncio.sleep(0.01)
        assert (await stage.http.get(f"/ports/{port}/asked/")).status_code == 503
        program.may_answer.set()
        assert await asyncio.gather(*many) == [200] * len(many)
        assert (await stage.http.get(f"/ports/{port}/asked/")).status_code == 200


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
