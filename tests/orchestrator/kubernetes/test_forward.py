"""A browser sees through two hops what it would see through none: HTTP and WebSockets, real sockets between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from orchestrator.backends.kubernetes.forward import IDLE_MOST, Unreachable
from runner.forwarding import wire
from runner.forwarding.keys import Impostor, Incarnation
from runner.forwarding.serving import Links
from runner.viewer import Viewer, viewer_of
from tests.orchestrator.kubernetes.links import DEADLINE_S, KEY, WHO, forward_to, forwarded, listening

PIECE = bytes(range(256)) * 256


class Pod:
    """What runs there; it notes what it sees."""

    def __init__(self) -> None:
        self.sent = 0
        self.left = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/say", self.say),
                Route("/sum", self.sum, methods=["POST"]),
                Route("/deaf", self.deaf, methods=["POST"]),
                Route("/endless", self.endless),
                Route("/cut", self.cut),
                Route("/wait", self.wait),
                WebSocketRoute("/echo", self.echo),
                WebSocketRoute("/refuse", self.refuse),
                WebSocketRoute("/fall", self.fall),
            ]
        )

    async def say(self, request: Request) -> Response:
        viewer = viewer_of(request.scope)
        told = {"path": request.url.path, "query": request.url.query, "of": request.headers.getlist("x-of")}
        return JSONResponse(
            {**told, "viewer": [viewer.user_id, viewer.name, viewer.can_write]}, headers={"x-told": "é"}
        )

    async def sum(self, request: Request) -> Response:
        size = 0
        async for piece in request.stream():
            size += len(piece)
        return JSONResponse({"bytes": size})

    async def deaf(self, _: Request) -> Response:
        return PlainTextResponse("not read", 413)

    async def endless(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    self.sent += len(PIECE)
                    yield PIECE
            finally:
                self.left.set()

        return StreamingResponse(pieces())

    async def cut(self, _: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"half of it"
            raise RuntimeError("on purpose")

        return StreamingResponse(pieces())

    async def wait(self, request: Request) -> Response:
        try:
            async for _ in request.stream():
                pass
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
        except ClientDisconnect:
            pass
        self.left.set()
        return PlainTextResponse("to nobody")

    async def echo(self, socket: WebSocket) -> None:
        await socket.accept(subprotocol="second" if "second" in socket.scope["subprotocols"] else None)
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if message.get("text") == "close":
                    await socket.close(4001, "as you wish")
                    return
                await socket.send({**message, "type": "websocket.send"})
        except WebSocketDisconnect:
            pass
        finally:
            self.left.set()

    async def refuse(self, socket: WebSocket) -> None:
        await socket.send_denial_response(JSONResponse({"no": "entry"}, 403))

    async def fall(self, socket: WebSocket) -> None:
        await socket.accept()
        raise RuntimeError("on purpose")


@pytest.fixture
def pod() -> Pod:
    return Pod()


@pytest.fixture
async def port(pod: Pod) -> AsyncIterator[int]:
    async def as_ada(scope: Scope, receive: Receive, send: Send) -> None:
        await pod.app(scope, receive, send)

    async with forwarded(as_ada) as port:
        yield port


@pytest.fixture
async def browser(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE_S) as browser:
        yield browser


async def test_a_request_arrives_as_it_was(browser: httpx.AsyncClient) -> None:
    for _ in range(3):  # over one link
        answer = await browser.get("/say?a=%20b", headers=[("x-of", "one"), ("x-of", "two")])
        assert answer.json()["query"] == "a=%20b"
        assert answer.json()["of"] == ["one", "two"]
        assert answer.headers["x-told"] == "é"


async def test_bodies_are_streamed_both_ways(browser: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield PIECE

    assert (await browser.post("/sum", content=pieces())).json() == {"bytes": 200 * len(PIECE)}
    assert (await browser.post("/sum", content=b"")).json() == {"bytes": 0}


async def test_what_is_not_read_blocks_nothing(browser: httpx.AsyncClient) -> None:
    for size in (10, 3_000_000):
        answer = await browser.post("/deaf", content=b"x" * size)
        assert (answer.status_code, answer.text) == (413, "not read")
    assert (await browser.get("/say")).status_code == 200


async def test_back_pressure_reaches_the_pod(pod: Pod, browser: httpx.AsyncClient) -> None:
    async with browser.stream("GET", "/endless") as answer:
        pieces = answer.aiter_raw()
        await anext(pieces)
        before = -1
        async with asyncio.timeout(DEADLINE_S):
            while pod.sent != before:  # until nothing more is taken
                before = pod.sent
                await asyncio.sleep(0.3)
        assert pod.sent < 64 << 20
    async with asyncio.timeout(DEADLINE_S):
        await pod.left.wait()


async def test_a_browser_that_leaves_is_missed_in_the_pod(pod: Pod, browser: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await browser.get("/wait", timeout=0.5)
    async with asyncio.timeout(DEADLINE_S):
        await pod.left.wait()


async def test_half_an_answer_is_not_taken_for_the_whole(browser: httpx.AsyncClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await browser.get("/cut")
    assert (await browser.get("/say")).status_code == 200


async def test_many_at_once(browser: httpx.AsyncClient) -> None:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(browser.get(f"/say?{n}")) for n in range(5 * IDLE_MOST)]
    assert [task.result().json()["query"] for task in asked] == [str(n) for n in range(5 * IDLE_MOST)]


async def test_a_websocket_is_one(pod: Pod, port: int) -> None:
    url = f"ws://127.0.0.1:{port}/echo"
    async with connect(url, proxy=None, subprotocols=["first", "second"], max_size=None) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "second"
        for said in ("text ✓", b"octets \xff", "", b"", b"x" * (8 << 20)):
            await socket.send(said)
            assert await socket.recv() == said
        await socket.send("close")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4001, "as you wish")


async def test_a_websocket_that_is_cut_is_missed_in_the_pod(pod: Pod, port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/echo", proxy=None) as socket:
        await socket.send("x")
        await socket.recv()
        socket.transport.abort()
    async with asyncio.timeout(DEADLINE_S):
        await pod.left.wait()


async def test_a_refused_handshake_says_why(port: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://127.0.0.1:{port}/refuse", proxy=None):
            pass
    assert refused.value.response.status_code == 403
    assert refused.value.response.body == b'{"no":"entry"}'


async def test_a_pod_that_fails_closes_what_it_served(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/fall", proxy=None) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def collected(app: Callable[..., Awaitable[None]], viewer: Viewer) -> list[dict[str, Any]]:
    """What an application answers to GET /say."""
    said: list[dict[str, Any]] = []
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return asked.pop() if asked else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "GET", "path": "/say", "raw_path": b"/say", "query_string": b"", "headers": []}
    await app({**scope, "scheme": "http", "http_version": "1.1", "devex.viewer": viewer}, receive, send)
    return said


@pytest.mark.parametrize("writes", [True, False])
async def test_the_pod_learns_who_asks(pod: Pod, writes: bool) -> None:
    async with listening(Links(pod.app, KEY, WHO)) as there:
        forward = forward_to(there)
        said = await collected(forward, Viewer("u1", "Adä", can_write=writes))
        forward.close()
    assert b'["u1","Ad\xc3\xa4",%s]' % (b"true" if writes else b"false") in said[1]["body"]


@pytest.mark.parametrize(
    ("key", "who"),
    [
        (b"K" * 32, WHO),
        (KEY, Incarnation("r1", 2, "pod-uid")),
        (KEY, Incarnation("r1", 3, "another pod")),
        (KEY, Incarnation("r2", 3, "pod-uid")),
    ],
)
async def test_whoever_lacks_the_key_is_neither_asked_nor_served(pod: Pod, key: bytes, who: Incarnation) -> None:
    async with listening(Links(pod.app, key, who)) as there:
        with pytest.raises(Impostor):
            await collected(forward_to(there), Viewer("u1", "Ada", can_write=True))
        async with connect(f"ws://127.0.0.1:{there}{wire.PATH}", proxy=None) as stranger:
            await stranger.send(wire.frame(wire.Kind.HELLO, b"n" * 32))
            await stranger.recv()
            await stranger.send(wire.frame(wire.Kind.PROOF, b"p" * 32))
            with pytest.raises(ConnectionClosed):
                await stranger.recv()


async def test_an_impostor_hears_nothing_of_the_user() -> None:
    heard: list[bytes] = []

    async def impostor(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.append((await receive()).get("bytes", b""))
        await send({"type": "websocket.send", "bytes": wire.frame(wire.Kind.PROOF, b"x" * 64)})
        heard.append((await receive()).get("bytes", b""))

    async with listening(impostor) as there:
        with pytest.raises(Impostor):
            await collected(forward_to(there), Viewer("u1", "Ada", can_write=True))
    assert [len(one) for one in heard] == [33, 0]


async def test_nobody_there() -> None:
    async with listening(Links(Pod().app, KEY, WHO)) as there:
        pass
    with pytest.raises(Unreachable):
        await collected(forward_to(there), Viewer("u1", "Ada", can_write=True))
