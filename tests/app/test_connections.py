"""Clients that send slowly, or never, or too much, or connect too often. What waits measures time by what is cut."""

import asyncio
import gc
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import ReferenceType, ref

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.gateway import connections, websockets
from tests.app.running_site import PASSWORD, Site, site_of


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOOK_S", 0.02)
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 0.3)
    monkeypatch.setattr(connections, "BODY_WITHIN_S", 0.3)


@asynccontextmanager
async def connected(site: Site) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def head(site: Site, *more: str, request: str = "POST /api/session", token: str = "") -> bytes:
    host = site.origin.removeprefix("http://")
    cookies = (f"Cookie: devex_session={token}",) if token else ()
    lines = (f"{request} HTTP/1.1", f"Host: {host}", f"Origin: {site.origin}", *cookies, *more, "", "")
    return "\r\n".join(lines).encode()


async def drip(site: Site, begun: bytes, piece: bytes = b"x") -> bytes:
    """What the server says to a client that sends `begun` and then one piece after another, until it hangs up."""
    async with connected(site) as (reader, writer):
        writer.write(begun)
        hung_up = asyncio.create_task(reader.read())
        while not hung_up.done():
            writer.write(piece)
            with suppress(OSError):
                await writer.drain()
            await asyncio.wait((hung_up,), timeout=0.02)
        return await hung_up


async def test_a_head_that_drips_is_cut(site: Site) -> None:
    answer = await drip(site, b"GET /healthz HTTP/1.1\r\nX-Slow: ")
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b'"code":"too_slow"' in answer


@pytest.mark.parametrize("begun", [b"", b"\r\n"])
async def test_a_connection_that_begins_nothing_is_closed(site: Site, begun: bytes) -> None:
    async with connected(site) as (reader, writer):
        writer.write(begun)
        assert b"200" not in await asyncio.wait_for(reader.read(), 10)
    before = head(site, "Content-Length: 0", request="GET /healthz")
    answer = await drip(site, before, b"\r\n")  # after a request that was answered
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_drips_is_cut(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    place = f"PUT /repls/{repl.id}/files/slow.txt"
    for start in (
        head(site, "Content-Type: application/json", "Content-Length: 1000"),
        head(site, "Transfer-Encoding: chunked") + b"400\r\n",
        head(site, "Content-Length: 100000000", request=place, token=owner.token),
    ):
        answer = await drip(site, start)
        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert b"connection: close\r\n" in answer
    listed = await (await site.browser(owner)).get(f"/repls/{repl.id}/files/slow.txt")
    assert listed.status_code == 404


async def test_a_body_that_was_not_wanted_is_not_read_for_ever(site: Site) -> None:
    answer = await drip(site, head(site, "Content-Length: 1000", request="POST /nothing"))
    assert answer.startswith(b"HTTP/1.1 40")
    assert answer.count(b"HTTP/1.1") == 1


async def test_an_upload_over_a_slow_link_goes_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_LEAST_BYTES", 4)
    body = f'{{"name":"ada","password":"{PASSWORD}","more":"'.encode()
    await site.user()
    async with connected(site) as (reader, writer):
        writer.write(head(site, "Content-Type: application/json", "Content-Length: 20000") + body)
        sent = len(body)
        for _ in range(3):  # thrice as long as a body may stand still
            cut = asyncio.create_task(drip(site, head(site, "Content-Length: 1000"), b""))
            while not cut.done():
                writer.write(b"x" * 10)
                sent += 10
                await asyncio.wait((cut,), timeout=0.02)
            assert (await cut).startswith(b"HTTP/1.1 408")
        writer.write(b"x" * (20000 - sent - 2) + b'"}')
        assert (await asyncio.wait_for(reader.readline(), 10)) == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("expects", [False, True])
async def test_a_client_we_do_not_read_from_is_not_cut(site: Site, tmp_path: Path, expects: bool) -> None:
    """Its body fills our buffers, or it waits to be told to go on."""
    owner = await site.user()
    repl = await site.repl(owner)
    wanted = tmp_path / "read on"
    more = ("Content-Length: 5000000", f"X-Wait-For: {wanted}", *(("Expect: 100-continue",) if expects else ()))
    async with connected(site) as (reader, writer):
        writer.write(head(site, *more, request=f"POST /repls/{repl.id}/unread", token=owner.token))
        if not expects:
            writer.write(b"x" * 5_000_000)
        for _ in range(2):
            assert (await drip(site, head(site, "Content-Length: 1000"))).startswith(b"HTTP/1.1 408")
        wanted.touch()
        if expects:
            assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10) == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"x" * 5_000_000)
        answer = await asyncio.wait_for(reader.readuntil(b"}"), 20)
        assert answer.endswith(b'{"bytes":5000000}')


async def test_a_websocket_waits_as_long_as_it_likes(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    for _ in range(2):
        assert (await drip(site, head(site, "Content-Length: 1000"))).startswith(b"HTTP/1.1 408")
    await socket.send("still here")
    assert await socket.recv() == "still here"


PAGES = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"  # opens for anybody


async def test_tiny_frames_leave_others_their_turn(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    pings = at_once = most_at_once = 0
    handle = WebSocketsSansIOProtocol.handle_ping

    def counted(protocol: WebSocketsSansIOProtocol) -> None:
        nonlocal pings, at_once, most_at_once
        pings, at_once = pings + 1, at_once + 1
        most_at_once = max(most_at_once, at_once)
        handle(protocol)

    async def others() -> None:
        nonlocal at_once
        while True:
            at_once = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(WebSocketsSansIOProtocol, "handle_ping", counted)
    socket = await site.socket(PAGES)
    turns = asyncio.create_task(others())
    ping = b"\x89\x80\0\0\0\0"
    socket.transport.write(ping * 5_000)
    async with asyncio.timeout(10):
        while pings < 5_000:
            await asyncio.sleep(0)
    turns.cancel()
    assert most_at_once <= websockets.PIECE_BYTES // len(ping) + 1


async def test_a_large_message_arrives_whole_and_in_order(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    for message in ("x" * 900_000, *(str(n) * 300 for n in range(9)), "last"):
        await socket.send(message)
        assert await asyncio.wait_for(socket.recv(), 10) == message


async def test_what_comes_at_once_and_what_is_asked_for_keep_their_order(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo_at_once", token=owner.token)

    async def heard() -> str:
        async with asyncio.timeout(10):
            message = await socket.recv()
        assert isinstance(message, bytes)
        return message.decode()

    for message in ("a", "b"):
        await socket.send(message.encode())
        assert await heard() == f"at once: {message}"
    await socket.send([b"in ", b"parts"])
    assert await heard() == "asked for: in parts"
    sent = [f"{'later' if n % 7 == 3 else 'now'} {n}" for n in range(500)]
    for message in sent:
        await socket.send(message.encode())
    came = [await heard() for _ in sent]
    assert [one.partition(": ")[2] for one in came] == sent
    assert {one.partition(":")[0] for one in came} == {"at once", "asked for"}


async def test_nothing_is_sent_at_once_to_one_that_has_said_goodbye(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo_at_once", token=owner.token)
    socket.transport.write(b"\x82\x83\0\0\0\0key" + b"\x88\x82\0\0\0\0\x03\xe8")
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert socket.close_code == 1000


async def test_a_websocket_that_is_gone_is_not_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[ReferenceType[websockets.WebSocket]] = []
    lose = websockets.WebSocket.connection_lost

    def noted(protocol: websockets.WebSocket, error: Exception | None) -> None:
        gone.append(ref(protocol))
        lose(protocol, error)

    monkeypatch.setattr(websockets.WebSocket, "connection_lost", noted)
    owner = await site.user()
    repl = await site.repl(owner)
    gc.disable()
    try:
        socket = await site.socket(f"/repls/{repl.id}/echo_at_once", token=owner.token)
        await socket.send(b"key")
        await socket.close()
        async with asyncio.timeout(10):
            while not gone or any(one() for one in gone):
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_a_stranger_cannot_make_us_hold_much(site: Site) -> None:
    """Neither in one message nor in its parts."""
    for kind in ("long", "parts"):
        socket = await site.socket(PAGES)
        if kind == "long":
            await socket.send("4" + "x" * websockets.ANYBODYS_MOST_BYTES)
        else:
            socket.transport.write(b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 2 * websockets.PARTS_MOST)
        await asyncio.wait_for(socket.wait_closed(), 10)
        assert socket.close_code == 1009


async def test_one_that_goes_on_after_it_was_closed_holds_up_nobody(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    asks = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    async with connected(site) as (reader, writer), asyncio.timeout(20):
        writer.write(head(site, *asks, request=f"GET /repls/{repl.id}/echo", token=owner.token))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\x87\0\0\0\0goodbye")
        await reader.readuntil(b"\x88\x02\x03\xe8")  # it is closed
        writer.write(b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 2 * websockets.PARTS_MOST)
        assert await reader.read() == b""
        await socket.send("x" * 900_000)
        assert await socket.recv() == "x" * 900_000


@pytest.mark.parametrize("chunked", [False, True])
async def test_headers_without_an_end_are_refused(site: Site, chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that may follow a body."""
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 100)
    monkeypatch.setattr(connections, "BODY_WITHIN_S", 100)
    begun = head(site, "Transfer-Encoding: chunked") + b"0\r\n" if chunked else b"GET / HTTP/1.1\r\n"
    answer = await drip(site, begun, b"X-More: " + b"y" * 4000 + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


async def test_an_address_has_so_many_connections(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_BY_ADDRESS", 3)
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 100)
    owner = await site.user()
    repl = await site.repl(owner)
    asks = head(site, "Connection: close", request="GET /healthz")
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    async with connected(site), connected(site) as (_, spare):
        async with connected(site) as (reader, writer):
            writer.write(asks)
            answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
        assert b"Close some pages and try again." in answer
        await socket.send("undisturbed")
        assert await socket.recv() == "undisturbed"
        spare.close()
        async with asyncio.timeout(10):
            while not (await drip(site, asks, b"")).startswith(b"HTTP/1.1 200"):
                pass


@pytest.mark.parametrize("settings", [{"trusted_proxies": ("127.0.0.1",)}, {"public_url": "https://devex.test"}])
async def test_a_proxy_has_as_many_as_it_needs(
    tmp_path: Path, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_BY_ADDRESS", 1)
    async with site_of(tmp_path, **settings) as site, connected(site), connected(site):
        answer = await drip(site, head(site, "Connection: close", request="GET /healthz"), b"")
        assert not answer.startswith(b"HTTP/1.1 429")


async def test_the_server_has_so_many_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MOST", 2)
    monkeypatch.setattr(connections, "HEAD_WITHIN_S", 100)
    async with site_of(tmp_path, public_url="https://devex.test") as site, connected(site), connected(site):
        answer = await drip(site, head(site, request="GET /healthz"), b"")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"Try again in a minute." in answer
