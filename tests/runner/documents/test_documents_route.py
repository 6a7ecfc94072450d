"""The WebSocket route over a real socket, as uvicorn serves it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
from pycrdt import Doc, Text
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runner.documents import connection
from runner.documents.rooms import Rooms
from runner.documents.wire import STEP_1, UPDATE, Message, Open, Opened, Ping, Pong, Saved, Sync, decode, encode
from runner.proxy.documents import route
from runner.viewer import Viewer
from runner.workspace import Workspace
from tests.runner.documents.tab import DEADLINE_S

M = TypeVar("M", bound=Message)


@asynccontextmanager
async def serving(rooms: Rooms, *, can_write: bool = True) -> AsyncIterator[str]:
    routes = Starlette(routes=[route(rooms)])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await routes({**scope, "devex.viewer": Viewer("one", "One", can_write)}, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/documents"
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def answer(client: ClientConnection, kind: type[M]) -> M:
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(message := decode(await client.recv(decode=False)), kind):
            pass
        return message


async def test_a_file_is_opened_over_a_socket(rooms: Rooms, root: Path) -> None:
    (root / "ä b.txt").write_text("text")
    async with serving(rooms) as url, connect(url) as client:
        await client.send(encode(Open("ä b.txt", "", "")))
        opened = await answer(client, Opened)
        assert (opened.path, opened.reason) == ("ä b.txt", "")
        await client.send(encode(Sync(opened.channel, STEP_1, b"\0")))
        assert await answer(client, Saved)
        await client.send(encode(Ping(7)))
        assert await answer(client, Pong) == Pong(7)


@pytest.mark.parametrize("frame", [b"\xff", "text", encode(Pong(1))])
async def test_nonsense_closes_the_connection_with_1007(rooms: Rooms, frame: bytes | str) -> None:
    async with serving(rooms) as url, connect(url) as client:
        await client.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            await answer(client, Pong)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007


async def test_who_does_not_read_is_closed_with_1013(rooms: Rooms, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "QUEUE_BYTES", 100)
    (root / "a").write_text("")
    async with serving(rooms) as url, connect(url) as slow, connect(url) as fast:
        for client in (slow, fast):
            await client.send(encode(Open("a", "", "")))
        await answer(slow, Opened)
        opened = await answer(fast, Opened)
        doc: Doc[Text] = Doc()
        doc["content"] = Text("x" * 1000)
        await fast.send(encode(Sync(opened.channel, UPDATE, doc.get_update())))
        with pytest.raises(ConnectionClosed) as closed:
            await answer(slow, Pong)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013


async def test_a_closed_tab_leaves_its_rooms(rooms: Rooms, root: Path) -> None:
    (root / "a").write_text("text")
    room = await rooms.open("a")
    async with serving(rooms) as url:
        async with connect(url) as client:
            await client.send(encode(Open("a", "", "")))
            await answer(client, Opened)
            assert room.viewers == 1
        async with asyncio.timeout(DEADLINE_S):
            while room.viewers:
                await asyncio.sleep(0)


async def test_who_still_types_when_the_rooms_end_is_sent_away(root: Path) -> None:
    """Else the tab would go on into rooms that save nothing, and never find the next proxy's."""
    (root / "a").write_text("text")
    with Workspace(root) as workspace:
        async with Rooms(workspace, on_edit=lambda name: None) as rooms, serving(rooms) as url, connect(url) as client:
            await client.send(encode(Open("a", "", "")))
            await answer(client, Opened)
            await rooms.__aexit__()
            with pytest.raises(ConnectionClosed) as closed:
                await answer(client, Pong)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
