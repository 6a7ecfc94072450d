"""WebSockets to programs in the sandbox: one connection on either side, whole messages between them."""

import asyncio
import sys
from typing import Final

from starlette.types import Message, Receive, Scope, Send
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.events import Message as Outgoing
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from runner.proxy.ports.headers import to_browser, to_program
from runner.proxy.ports.streams import Held, Pair, PortClosed

MAX_MESSAGE_BYTES: Final = 16 << 20  # of memory: a program's message is held whole; a longer one ends the connection
HELD_BYTES: Final = 64 << 20  # of all messages that one REPL's programs have begun: whose part is too much is cut off
READ_BYTES: Final = 64 * 1024
GOING_AWAY, NO_CODE, TOO_BIG, INTERNAL = 1001, 1005, 1009, 1011
GOODBYE_S: Final = 5.0  # for a program to take what was sent before the browser left
_UNSENDABLE: Final = frozenset({1004, 1005, 1006, 1015})  # codes that only ever describe


async def relay_websocket(scope: Scope, receive: Receive, send: Send, pair: Pair, *, target: bytes, port: int) -> None:
    """From the browser's handshake to the end of either side. PortClosed before the browser was answered."""
    assert (await receive())["type"] == "websocket.connect"
    writer = pair.writer
    connection = WSConnection(ConnectionType.CLIENT)
    headers = [one for one in to_program(scope["headers"], port, scope["scheme"]) if one[0] not in _HANDSHAKE]
    request = Request(
        host=f"localhost:{port}",
        target=target.decode("ascii"),
        subprotocols=list(scope.get("subprotocols", [])),
        extra_headers=headers,
    )
    writer.write(connection.send(request))
    relay = _Downstream(send, port, pair.held, can_reject="websocket.http.response" in scope.get("extensions", {}))
    ways = [
        asyncio.create_task(_from_program(connection, pair, relay), name=f"from port {port}"),
        asyncio.create_task(_from_browser(connection, writer, receive), name=f"to port {port}"),
    ]
    ways[0].add_done_callback(lambda _: relay.drop())
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.wait(ways)
    for way in ways:
        if not way.cancelled():
            way.result()


_HANDSHAKE: Final = frozenset({b"host", b"sec-websocket-protocol", b"content-length"})  # wsproto writes its own


async def _from_browser(connection: WSConnection, writer: asyncio.StreamWriter, receive: Receive) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        text, data = message.get("text"), message.get("bytes")
        try:
            writer.write(connection.send(Outgoing(data=text if text is not None else bytes(data or b""))))
            await writer.drain()
        except (OSError, LocalProtocolError):
            return  # the program's side is closing
    code = message.get("code", GOING_AWAY)
    try:
        writer.write(connection.send(CloseConnection(code=GOING_AWAY if code in _UNSENDABLE else code)))
        await writer.drain()
    except (OSError, LocalProtocolError):
        return
    writer.close()
    try:
        async with asyncio.timeout(GOODBYE_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        return


async def _from_program(connection: WSConnection, pair: Pair, relay: "_Downstream") -> None:
    reader, writer, turn, _ = pair
    while not relay.ended:
        data = await reader.read(READ_BYTES)
        await turn()
        try:
            connection.receive_data(data or None)
            for event in connection.events():
                await turn()
                if isinstance(event, Ping):
                    writer.write(connection.send(event.response()))
                    await writer.drain()
                await relay.pass_on(event)
                if relay.ended:
                    return
        except RemoteProtocolError:
            await relay.fail(INTERNAL)
            return
        if not data and not relay.ended:
            await relay.fail(GOING_AWAY)


class _Downstream:
    """What the program's side says, as ASGI messages to the browser."""

    def __init__(self, send: Send, port: int, held: Held, *, can_reject: bool) -> None:
        self.ended = False
        self._send = send
        self._port = port
        self._held = held
        self._can_reject = can_reject
        self._accepted = False
        self._parts: list[str | bytes] = []
        self._size = 0

    async def pass_on(self, event: Event) -> None:
        match event:
            case AcceptConnection():
                headers = to_browser(event.extra_headers, self._port)
                self._accepted = True
                await self._send({"type": "websocket.accept", "subprotocol": event.subprotocol, "headers": headers})
            case RejectConnection():
                await self._reject(event)
            case RejectData():
                await self._reject_data(event)
            case TextMessage() | BytesMessage():
                await self._message(event)
            case CloseConnection():
                await self._close(event.code, event.reason or "")

    async def _reject(self, event: RejectConnection) -> None:
        self._accepted = True  # answered, that is
        if not self._can_reject:
            await self._close(INTERNAL, "")
            return
        headers = to_browser(event.headers, self._port)
        await self._send({"type": "websocket.http.response.start", "status": event.status_code, "headers": headers})
        if not event.has_body:
            await self._send({"type": "websocket.http.response.body", "body": b""})
            self.ended = True

    async def _reject_data(self, event: RejectData) -> None:
        more = not event.body_finished
        await self._send({"type": "websocket.http.response.body", "body": bytes(event.data), "more_body": more})
        self.ended = not more

    async def _message(self, event: TextMessage | BytesMessage) -> None:
        size = sys.getsizeof(event.data)  # parts without any content would be held without end
        self._size += size
        self._held.size_bytes += size
        if self._size > MAX_MESSAGE_BYTES or self._held.size_bytes > HELD_BYTES:
            self.drop()
            await self._close(TOO_BIG, "message too big")
            return
        self._parts.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
        if event.message_finished:
            await self._send(_whole(self._parts, text=isinstance(event, TextMessage)))
            self.drop()

    def drop(self) -> None:
        """Hold nothing any more."""
        self._held.size_bytes -= self._size
        self._parts, self._size = [], 0

    async def fail(self, code: int) -> None:
        """The program's side ended without saying goodbye."""
        if not self._accepted:
            raise PortClosed(self._port)
        await self._close(code, "")

    async def _close(self, code: int, reason: str) -> None:
        self.ended = True
        code = 1000 if code == NO_CODE else INTERNAL if code in _UNSENDABLE else code
        await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _whole(parts: list[str | bytes], *, text: bool) -> Message:
    if text:
        return {"type": "websocket.send", "text": "".join(part for part in parts if isinstance(part, str))}
    return {"type": "websocket.send", "bytes": b"".join(part for part in parts if isinstance(part, bytes))}
