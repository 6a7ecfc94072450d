"""Programs behind ports, asked through the proxy by HTTP."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest

from runner.proxy.ports.streams import PIECES_A_TURN
from tests.runner.proxy.program import Program, saying
from tests.runner.proxy.stage import DEADLINE_S, Stage

TINY_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5_000 + b"0\r\n\r\n"
EMPTY_MESSAGES = b"\x82\0" * 5_000 + b"\x88\x02\x03\xe8"


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
