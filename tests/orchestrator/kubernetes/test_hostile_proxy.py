"""What a proxy that was taken over, or an impostor, takes of the control plane's memory: no more than an honest one."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.protocol import Event, State

from orchestrator.backends.base import BackendError
from orchestrator.backends.kubernetes import reach
from orchestrator.backends.kubernetes.cluster import Ingress, Peer
from orchestrator.backends.kubernetes.control import HEARD_PER_S, SAID_MOST_CHARACTERS, PodControl
from orchestrator.backends.kubernetes.forward import Forward, Unreachable
from orchestrator.backends.kubernetes.manifests import labels
from orchestrator.backends.kubernetes.metered import FRAMES_A_TURN, PIECE_BYTES
from orchestrator.backends.kubernetes.pods import ClaimedPod
from runner.forwarding import serving, wire
from runner.forwarding.keys import NONCE_BYTES, proof
from runner.forwarding.serving import STRANGERS_MOST, Links
from runner.proxy import control, visitors
from runner.proxy.budget import Budget
from runner.viewer import CONTROL_PLANE
from tests.orchestrator.kubernetes.links import DEADLINE_S, KEY, WHO, forward_to, listening

ANSWER = {"found": "x" * (64 << 10)}
SCOPE = {
    "type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": [],
    "scheme": "http", "http_version": "1.1",
}  # fmt: skip
UPGRADE = (
    b"GET /link HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
FLOOD = 5000  # frames
ASKED = 1000  # with their answers far more than sockets hold


async def answer(_: dict[str, Any]) -> dict[str, Any]:
    return ANSWER


@asynccontextmanager
async def controlled(proxy: ASGIApp, **heard: Callable[..., Any]) -> AsyncIterator[None]:
    """A control plane that hears what `proxy` says on its control connection."""
    async with listening(Links(proxy, KEY, WHO)) as port:
        hears: dict[str, Any] = {"answer": answer, "on_ready": lambda _: None, "on_activity": lambda _: None, **heard}
        hearing = asyncio.create_task(PodControl(forward_to(port), **hears).run())
        try:
            yield
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])


async def test_who_reads_no_answers_is_given_few() -> None:
    answered, heard_all = 0, asyncio.Event()

    async def counted(question: dict[str, Any]) -> dict[str, Any]:
        nonlocal answered
        answered += 1
        return await answer(question)

    async def asks_on_and_on(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for number in range(ASKED):
            await send({"type": "websocket.send", "text": json.dumps({"ask": number, "question": {"get": "r1/c/1"}})})
        await send({"type": "websocket.send", "text": json.dumps({"ready": True})})
        await heard_all.wait()

    def ready(is_ready: bool) -> None:
        if is_ready:
            heard_all.set()

    async with controlled(asks_on_and_on, answer=counted, on_ready=ready), asyncio.timeout(DEADLINE_S):
        await heard_all.wait()
        assert control.QUESTIONS_MOST <= answered < ASKED / 2


async def test_who_says_too_much_at_once_is_left() -> None:
    left = asyncio.Event()

    async def says_too_much(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "1" * (SAID_MOST_CHARACTERS + 1)})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        left.set()

    async with controlled(says_too_much), asyncio.timeout(DEADLINE_S):
        await left.wait()


async def test_who_says_much_is_heard_more_slowly() -> None:
    said, heard_at_s = json.dumps({"activity": "x" * 200_000}), list[float]()
    now_s, all_heard = asyncio.get_running_loop().time, asyncio.Event()

    async def says_much(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": said})
        await send({"type": "websocket.send", "text": said})
        await all_heard.wait()

    def active(_: str) -> None:
        heard_at_s.append(now_s())
        if len(heard_at_s) == 2:
            all_heard.set()

    async with controlled(says_much, on_activity=active), asyncio.timeout(DEADLINE_S):
        await all_heard.wait()
    owed_s = Budget(0.0, HEARD_PER_S).spend(1, 0, len(said), 0.0)
    assert heard_at_s[1] - heard_at_s[0] >= owed_s > 0.5, "on a slow machine it is later, never sooner"


@pytest.mark.parametrize("tiny", [wire.frame(wire.Kind.BODY, b"x"), b""])
async def test_tiny_frames_leave_others_their_turn(tiny: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = frames_at_once = most_frames = carried = carried_at_once = most_carried = 0
    handle = ClientConnection.process_event
    answered = asyncio.Event()

    def counted(connection: ClientConnection, event: Event) -> None:
        nonlocal frames, frames_at_once, most_frames
        frames, frames_at_once = frames + 1, frames_at_once + 1
        most_frames = max(most_frames, frames_at_once)
        handle(connection, event)

    async def send(message: Message) -> None:
        nonlocal carried, carried_at_once, most_carried
        carried, carried_at_once = carried + 1, carried_at_once + 1
        most_carried = max(most_carried, carried_at_once)
        if message["type"] == "http.response.body" and not message["more_body"]:
            answered.set()

    async def others() -> None:
        nonlocal frames_at_once, carried_at_once
        while True:
            frames_at_once = carried_at_once = 0
            await asyncio.sleep(0)

    async def floods(socket: ServerConnection) -> None:
        theirs, ours = bytes(await socket.recv(decode=False))[1:], bytes(NONCE_BYTES)
        await socket.send(wire.frame(wire.Kind.PROOF, ours + proof(KEY, "proxy", WHO, theirs, ours)))
        await socket.recv(), await socket.recv()
        await socket.send(next(wire.frames_of({"type": "http.response.start", "status": 200})))
        flood = bytes((0x82 if tiny else 0x89, len(tiny))) + tiny  # a message, or a ping
        socket.transport.write(flood * FLOOD)
        await socket.send(wire.frame(wire.Kind.END))
        await socket.wait_closed()

    monkeypatch.setattr(ClientConnection, "process_event", counted)
    async with serve(floods, "127.0.0.1", 0, compression=None) as server, asyncio.timeout(DEADLINE_S):
        forward = forward_to(server.sockets[0].getsockname()[1])
        turns = asyncio.create_task(others())
        asking = asyncio.create_task(forward({**SCOPE, "devex.viewer": CONTROL_PLANE}, for_ever, send))
        await answered.wait()
        await asking
        forward.close()
        turns.cancel()
    assert frames >= FLOOD
    assert carried == (FLOOD if tiny else 0) + 2
    assert most_frames <= PIECE_BYTES // (2 + len(tiny)) + FRAMES_A_TURN
    assert most_carried <= 1


async def test_a_head_is_no_longer_than_a_head() -> None:
    told = json.dumps({"status": 200, "headers": [["x", "y"]] * (wire.HEAD_MOST_BYTES // 10)}).encode()
    with pytest.raises(wire.BadFrame):
        wire.from_application(wire.Kind.START, told, websocket=False)


async def test_an_endless_answer_is_none() -> None:
    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b" " * 1000, "more_body": True})

    async with listening(Links(endless, KEY, WHO)) as port:

        async def dial() -> Any:
            return await reach.by_ingress(Ingress(class_name="", controller=Peer(), link_url=f"ws://127.0.0.1:{port}"))(
                {"metadata": {"labels": labels(WHO.repl_id, WHO.epoch)}}
            )()

        pod = ClaimedPod(WHO, dial, KEY, answer=answer, on_activity=lambda _: None, changed=lambda: None)
        try:
            async with asyncio.timeout(DEADLINE_S):
                with pytest.raises(BackendError, match="no answer"):
                    await pod.save("why")
        finally:
            await pod.close()


async def test_a_stranger_sends_no_more_than_a_greeting() -> None:
    async def impostor(_: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.send", "bytes": wire.frame(wire.Kind.PROOF, bytes(wire.GREETING_MOST_BYTES))})
        await receive()

    async with listening(impostor) as port:
        way = Ingress(class_name="", controller=Peer(), link_url=f"ws://127.0.0.1:{port}")
        dial = reach.by_ingress(way)({"metadata": {"labels": labels(WHO.repl_id, WHO.epoch)}})

        async def receive() -> Message:
            raise AssertionError

        async def send(message: Message) -> None:
            raise AssertionError(message)

        with pytest.raises(Unreachable):
            await Forward(dial, KEY, WHO)({**SCOPE, "devex.viewer": CONTROL_PLANE}, receive, send)


@pytest.mark.parametrize("told", [b'{"status":1e999,"headers":[]}', b"[" * 200_000])
def test_what_no_json_reader_bears_is_a_bad_frame(told: bytes) -> None:
    with pytest.raises(wire.BadFrame):
        wire.from_application(wire.Kind.START, told, websocket=False)


async def test_a_stranger_to_the_proxy_sends_no_more_than_a_first_request() -> None:
    async with listening(Links(answers_nobody, KEY, WHO)) as port:
        async with connect(f"ws://127.0.0.1:{port}{wire.PATH}", proxy=None) as stranger:
            with suppress(ConnectionClosed):
                await stranger.send(bytes(wire.STRANGER_MOST_BYTES + 1))
            await stranger.wait_closed()
        assert stranger.close_code == CloseCode.MESSAGE_TOO_BIG


async def test_strangers_to_the_proxy_are_so_many_and_keep_nobody_out() -> None:
    served = asyncio.Event()

    async def serves(scope: Scope, receive: Receive, send: Send) -> None:
        served.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async with listening(Links(serves, KEY, WHO)) as port, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(connected(port)) for _ in range(STRANGERS_MOST // 2)]
        linked = [
            await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}{wire.PATH}", proxy=None))
            for _ in range(STRANGERS_MOST)
        ]
        async with asyncio.timeout(DEADLINE_S):
            for reader, _ in silent:
                with suppress(ConnectionResetError):
                    assert not await reader.read()
        forward = forward_to(port)
        async with asyncio.timeout(DEADLINE_S):
            await forward({**SCOPE, "devex.viewer": CONTROL_PLANE}, for_ever, ignored)
            await linked[0].wait_closed()
        forward.close()
        assert served.is_set()
        assert linked[-1].state is State.OPEN


@pytest.mark.parametrize("said", [b"", b"GET /link HT", UPGRADE])
async def test_strangers_to_the_proxy_are_soon_gone(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "STRANGER_S", 0.3)
    async with listening(Links(answers_nobody, KEY, WHO)) as port, connected(port) as stranger:
        reader, writer = stranger
        writer.write(said)
        async with asyncio.timeout(DEADLINE_S):
            with suppress(ConnectionResetError):
                await reader.read()


@pytest.mark.parametrize("said", [b"", b"GET / HT"])
async def test_visitors_of_previews_are_so_many_and_ask_in_time(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visitors, "KEEP_ALIVE_S", 0.3)
    monkeypatch.setattr(visitors, "CONNECTIONS_MOST", 2)
    async with listening(answers_nobody, http=visitors.VisitorConnection) as port, AsyncExitStack() as stack:
        came = [await stack.enter_async_context(connected(port)) for _ in range(2)]
        came[0][1].write(said)
        one_more = await stack.enter_async_context(connected(port))
        for reader, _ in (one_more, came[0]):
            async with asyncio.timeout(DEADLINE_S):
                with suppress(ConnectionResetError):
                    assert not await reader.read()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def for_ever() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def ignored(message: Message) -> None:
    pass


async def answers_nobody(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError
