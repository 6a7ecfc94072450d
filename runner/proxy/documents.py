"""The WebSocket of open documents: frames of runner.documents.wire in and out, one connection per browser tab."""

import asyncio

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.status import WS_1007_INVALID_FRAME_PAYLOAD_DATA, WS_1012_SERVICE_RESTART, WS_1013_TRY_AGAIN_LATER
from starlette.websockets import WebSocket, WebSocketDisconnect

from runner.documents.connection import Connection
from runner.documents.document import BadUpdate
from runner.documents.rooms import Rooms
from runner.documents.wire import BadMessage
from runner.viewer import viewer_of


def route(rooms: Rooms) -> BaseRoute:
    """`WS documents`. A viewer (scope["devex.viewer"]) without can_write follows edits and makes none."""

    async def documents(socket: WebSocket) -> None:
        await socket.accept()
        viewer = viewer_of(socket.scope)
        connection = Connection(rooms, name=viewer.name, can_write=viewer.can_write)
        ways = [
            asyncio.create_task(_receive(socket, connection), name="documents receive"),
            asyncio.create_task(_send(socket, connection), name="documents send"),
            asyncio.create_task(connection.cut_off(), name="documents cut off"),
            asyncio.create_task(rooms.ended.wait(), name="documents end"),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            connection.close()
            for way in ways:
                way.cancel()
            ends = await asyncio.gather(*ways, return_exceptions=True)
        await _say_goodbye(socket, [end for end in ends if isinstance(end, Exception)], connection)

    return WebSocketRoute("/documents", documents)


async def _receive(socket: WebSocket, connection: Connection) -> None:
    while True:
        await connection.receive(await socket.receive_bytes())


async def _send(socket: WebSocket, connection: Connection) -> None:
    while True:
        await socket.send_bytes(await connection.next_frame())


async def _say_goodbye(socket: WebSocket, ends: list[Exception], connection: Connection) -> None:
    """Tell the browser why it is cut off, unless it left by itself."""
    for end in ends:
        if isinstance(end, BadMessage | BadUpdate | KeyError):  # KeyError: a text message
            await socket.close(WS_1007_INVALID_FRAME_PAYLOAD_DATA, str(end)[:100])
        elif not isinstance(end, WebSocketDisconnect):
            raise end
    if not ends and connection.overflowed:
        await socket.close(WS_1013_TRY_AGAIN_LATER, "too much unread")
    elif not ends:
        await socket.close(WS_1012_SERVICE_RESTART, "the REPL stops")
