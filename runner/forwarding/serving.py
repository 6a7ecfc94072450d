"""The end of a link in the pod: serves an ASGI application to whoever proves to hold the REPL's key."""

import asyncio
import hmac
import logging
import time
from functools import partial
from typing import Any, Final, NoReturn

from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from runner.errors import DevexError
from runner.forwarding import wire
from runner.forwarding.keys import NONCE_BYTES, Incarnation, new_nonce, proof, unseal
from runner.forwarding.wire import BadFrame, Kind

STRANGER_S: Final = 10.0  # from a connection to its proof: the gateway waits no longer
STRANGERS_MOST: Final = 128  # with a message of each 32 MiB; honest ones are some for milliseconds
LINKS_MOST: Final = 512  # a REPL's share of what the gateway lets one address open, twice
_BELIEVE: Final = "devex.believe"

log = logging.getLogger(__name__)


def bounds() -> dict[str, Any]:
    """What uvicorn is to be told for `Links`. No ping's time-out: an answer waits behind what a slow reader has not
    read yet.
    """
    connection = partial(LinkConnection, strangers=Strangers())
    return {"http": connection, "ws_max_size": wire.STRANGER_MOST_BYTES, "ws_ping_timeout": None}


class Strangers:
    """Connections whose other end has not proven to hold the key, whatever it says or does not say: so many, for so
    long. The oldest leaves for the newest: who is honest proves it before others have come by the dozen.
    """

    def __init__(self) -> None:
        self._deadlines: dict[asyncio.Transport, asyncio.TimerHandle] = {}  # the oldest first

    def come(self, transport: asyncio.Transport) -> None:
        if len(self._deadlines) >= STRANGERS_MOST:
            oldest = next(iter(self._deadlines))
            self.gone(oldest)
            oldest.abort()
        self._deadlines[transport] = asyncio.get_running_loop().call_later(STRANGER_S, transport.abort)

    def gone(self, transport: asyncio.Transport) -> None:
        """Or no stranger any more."""
        if (deadline := self._deadlines.pop(transport, None)) is not None:
            deadline.cancel()


class LinkConnection(H11Protocol):
    def __init__(self, *arguments: Any, strangers: Strangers, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._strangers = strangers
        self.ws_protocol_class = partial(LinkSocket, strangers=strangers)  # type: ignore[assignment]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._strangers.come(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.gone(self.transport)
        super().connection_lost(exc)


class LinkSocket(WebSocketsSansIOProtocol):
    """What strangers send is held until it is refused; a program in the pod could use up the memory. Who has proven to
    hold the key sends longer messages.
    """

    def __init__(self, *arguments: Any, strangers: Strangers, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._strangers = strangers

    def connection_lost(self, exc: Exception | None) -> None:
        self._strangers.gone(self.transport)
        super().connection_lost(exc)

    async def run_asgi(self) -> None:
        self.scope["state"][_BELIEVE] = self._believe
        await super().run_asgi()

    def _believe(self) -> None:
        self._strangers.gone(self.transport)
        self.conn.max_message_size = wire.FRAME_MOST_BYTES


class Links:
    """Serves WebSockets at wire.PATH, and nothing else, on a port with these `bounds`."""

    def __init__(self, app: ASGIApp, key: bytes, incarnation: Incarnation) -> None:
        self._app = app
        self._key = key
        self._incarnation = incarnation
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        link = _Link(receive, send)
        try:
            await self._prove(link)
            if self._open >= LINKS_MOST:
                raise BadFrame("there are too many")
            if believe := scope.get("state", {}).get(_BELIEVE):  # without one nothing was held back
                believe()
            self._open += 1
            try:
                while await self._serve_one(link):
                    pass
            finally:
                self._open -= 1
        except (BadFrame, DevexError) as error:
            log.warning("a link was refused: %s", error)
            await send({"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION})
        except _Left:
            return

    async def _prove(self, link: "_Link") -> None:
        kind, theirs = await link.next()
        if kind is not Kind.HELLO or len(theirs) != NONCE_BYTES:
            raise BadFrame("no greeting")
        ours = new_nonce()
        told = (self._incarnation, theirs, ours)
        await link.send(wire.frame(Kind.PROOF, ours + proof(self._key, "proxy", *told)))
        kind, given = await link.next()
        if kind is not Kind.PROOF or not hmac.compare_digest(given, proof(self._key, "gateway", *told)):
            raise BadFrame("no proof")

    async def _serve_one(self, link: "_Link") -> bool:
        """Whether the link can carry another request."""
        kind, payload = await link.next()
        if kind is not Kind.BEGIN:
            raise BadFrame("no beginning")
        token, scope = wire.begun(payload)
        viewer = unseal(self._key, self._incarnation.repl_id, token, time.time())
        served = _Served(link, websocket=scope["type"] == "websocket")
        await self._app({**scope, "devex.viewer": viewer}, served.receive, served.send)
        return await served.finish()


class _Left(Exception):
    """The gateway has closed the link."""


class _Link:
    """Frames instead of ASGI messages."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._ahead: tuple[Kind, bytes] | None = None

    async def next(self) -> tuple[Kind, bytes]:
        """Raises BadFrame and _Left."""
        if self._ahead is not None:
            ahead, self._ahead = self._ahead, None
            return ahead
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise _Left
        return wire.parsed(message.get("bytes") or message.get("text") or b"")

    def put_back(self, ahead: tuple[Kind, bytes]) -> None:
        self._ahead = ahead

    async def send(self, data: bytes) -> None:
        await self._send({"type": "websocket.send", "bytes": data})


class _Served:
    """One request, as the application sees it."""

    def __init__(self, link: _Link, *, websocket: bool) -> None:
        self._link = link
        self._websocket = websocket
        self._connected = not websocket  # said to the application
        self._request_ended = False
        self._response_ended = False
        self._gone = False

    async def finish(self) -> bool:
        """Whether another request may follow: what the application did not want to read of this one is skipped.

        The gateway leaves when it has the whole response before it has sent the whole request.
        """
        if self._websocket or not self._response_ended:
            return False
        while not (self._request_ended or self._gone):
            await self.receive()
        return not self._gone

    async def receive(self) -> Message:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        if self._gone:
            return self._disconnect()
        try:
            kind, payload = await self._link.next()
        except _Left:
            self._gone = True
            return self._disconnect()
        if self._request_ended:  # the next request has begun: the application looked for the end of this one
            self._link.put_back((kind, payload))
            await _for_ever()
        message = wire.from_browser(kind, payload, websocket=self._websocket)
        self._request_ended = kind is Kind.END
        self._gone = kind is Kind.CLOSE
        return message

    async def send(self, message: Message) -> None:
        for data in wire.frames_of(message):
            await self._link.send(data)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._response_ended = True

    def _disconnect(self) -> Message:
        return {"type": "websocket.disconnect", "code": 1006} if self._websocket else {"type": "http.disconnect"}


async def _for_ever() -> NoReturn:
    await asyncio.Event().wait()
    raise AssertionError
