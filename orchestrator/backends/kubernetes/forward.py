"""The gateway's end of links (see `runner.forwarding`): an ASGI application that is served by the proxy in a pod."""

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from starlette.status import WS_1012_SERVICE_RESTART
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from runner.errors import DevexError
from runner.forwarding import wire
from runner.forwarding.keys import NONCE_BYTES, PROOF_BYTES, Impostor, Incarnation, new_nonce, proof, seal
from runner.forwarding.wire import BadFrame, Kind
from runner.proxy.budget import RATE_PER_S, Budget
from runner.viewer import viewer_of

OPEN_WITHIN_S: Final = 10.0  # a connection, a handshake and two proofs
CARRIED_PER_S: Final = RATE_PER_S / 4  # of a pod, as Budget counts: eight thousand messages, a third of a processor
IDLE_MOST: Final = 8  # links kept for the next requests: a browser makes six at a time

log = logging.getLogger(__name__)

Dial = Callable[[], Awaitable[ClientConnection]]
"""A new connection to wire.PATH of the pod, that takes a greeting; raises OSError, TimeoutError or websockets'
InvalidHandshake."""

Hear = Callable[[], Awaitable[tuple[Kind, bytes]]]
"""The next frame of a link; raises ConnectionClosed and BadFrame."""


class Unreachable(DevexError):
    def __init__(self) -> None:
        message = "The REPL cannot be reached at the moment."
        super().__init__("unreachable", message, "Try again in a few seconds.", status=502, retryable=True)


class Forward:
    """All routes of one incarnation's proxy. Raises Unreachable and Impostor before anything is answered."""

    def __init__(self, dial: Dial, key: bytes, incarnation: Incarnation) -> None:
        self._dial = dial
        self._key = key
        self._incarnation = incarnation
        self._budget = Budget(time.monotonic(), CARRIED_PER_S)
        self._idle: list[ClientConnection] = []
        self._closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        link = await self._link()
        reusable = False
        try:
            await _send(link, wire.begin(self._token(scope), scope))
            hear = partial(self._heard, link)
            if scope["type"] == "http":
                reusable = await _forward_http(link, hear, receive, send)
            else:
                await _forward_websocket(link, hear, receive, send)
        finally:
            if reusable and not self._closed and len(self._idle) < IDLE_MOST:
                self._idle.append(link)
            else:
                link.transport.abort()  # whatever was under way in the pod learns of it at once

    def close(self) -> None:
        """The incarnation has ended."""
        self._closed = True
        while self._idle:
            self._idle.pop().transport.abort()

    def _token(self, scope: Scope) -> str:
        return seal(self._key, self._incarnation.repl_id, viewer_of(scope), time.time())

    async def _link(self) -> ClientConnection:
        while self._idle:
            link = self._idle.pop()
            if link.state is State.OPEN:
                return link
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                link = await self._dial()
                try:
                    await self._prove(link)
                except BaseException:
                    link.transport.abort()
                    raise
                return link
        except Impostor:
            log.error("what answers in the place of %s does not hold its key", self._incarnation)
            raise
        except Exception as error:
            log.info("%s cannot be reached: %r", self._incarnation, error)
            raise Unreachable from error

    async def _heard(self, link: ClientConnection) -> tuple[Kind, bytes]:
        """Others have a turn before each message: for one that is there already nothing would wait."""
        await asyncio.sleep(self._budget.spend(1, 0, 0, time.monotonic()))
        return wire.parsed(await link.recv())

    async def _prove(self, link: ClientConnection) -> None:
        """Nothing of a user is said before the other end has proven to hold the key. Raises Impostor."""
        ours = new_nonce()
        await link.send(wire.frame(Kind.HELLO, ours))
        kind, payload = wire.parsed(await link.recv())
        theirs, given = payload[:NONCE_BYTES], payload[NONCE_BYTES:]
        told = (self._incarnation, ours, theirs)
        is_theirs = kind is Kind.PROOF and len(payload) == NONCE_BYTES + PROOF_BYTES
        if not is_theirs or not hmac.compare_digest(given, proof(self._key, "proxy", *told)):
            raise Impostor
        link.protocol.max_message_size = wire.FRAME_MOST_BYTES
        await link.send(wire.frame(Kind.PROOF, proof(self._key, "gateway", *told)))


async def _forward_http(link: ClientConnection, hear: Hear, receive: Receive, send: Send) -> bool:
    """Whether the link can carry another request."""
    begun = ended = left = False

    async def send_request() -> None:
        nonlocal ended, left
        while (message := await receive())["type"] != "http.disconnect":
            for data in wire.frames_of(message):
                await _send(link, data)
            ended = ended or not message.get("more_body", False)
        left = True
        link.transport.abort()

    sending = asyncio.create_task(send_request())
    try:
        while True:
            kind, payload = await hear()
            await send(wire.from_application(kind, payload, websocket=False))
            begun = True
            if kind is Kind.END:
                return ended
    except (ConnectionClosed, BadFrame) as error:
        if left:
            return False
        if begun:
            raise  # the browser's connection is cut as well, so that it does not take what it has for the whole
        raise Unreachable from error
    finally:
        await _cancelled(sending)


async def _forward_websocket(link: ClientConnection, hear: Hear, receive: Receive, send: Send) -> None:
    """Until either end closes it."""
    await receive()  # websocket.connect
    accepted = False

    async def send_on() -> None:
        while True:
            message = await receive()
            for data in wire.frames_of(message):
                await _send(link, data)
            if message["type"] == "websocket.disconnect":
                return

    async def receive_on() -> None:
        nonlocal accepted
        while True:
            kind, payload = await hear()
            message = wire.from_application(kind, payload, websocket=True)
            await send(message)
            accepted = accepted or kind is Kind.ACCEPT
            if kind in (Kind.CLOSE, Kind.END):
                return

    both = [asyncio.create_task(send_on()), asyncio.create_task(receive_on())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            await _cancelled(one)
    failure = both[1].exception() if not both[1].cancelled() else None
    if isinstance(failure, ConnectionClosed | BadFrame):
        if not accepted:
            raise Unreachable from failure
        await send({"type": "websocket.close", "code": WS_1012_SERVICE_RESTART})
    elif failure is not None:
        raise failure


async def _send(link: ClientConnection, data: bytes) -> None:
    """A link that is gone is found out by whoever reads from it."""
    try:
        await link.send(data)
    except ConnectionClosed:
        pass  # told to whoever reads, and to nobody twice


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
