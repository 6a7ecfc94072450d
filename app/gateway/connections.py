"""One client's connection: how many there may be, and how long a request may take to come.

uvicorn's protocol waits for a request for ever and takes connections until no descriptor is left. A WebSocket leaves
this class with its handshake: nothing here is called for its messages.
"""

import resource
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from ipaddress import ip_network
from typing import Any, Literal

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.addresses import is_within, network_of
from app.gateway.websockets import WebSocket
from app.settings import Settings
from runner.answers import json_answer
from runner.errors import DevexError
from runner.time_slices import TimeSlices

CONNECTIONS_MOST = 4096  # some hundred people with a dozen sockets each; what is idle costs about 20 KiB
CONNECTIONS_BY_ADDRESS = 256  # twenty full workbenches, or an office behind one address
HEAD_WITHIN_S = 15.0  # it is one or two packets; the slowest link resends a lost one in a few seconds
HEAD_MOST_BYTES = 64 * 1024  # also of what frames a body: browsers send 16 KiB at most
BODY_WITHIN_S = 30.0  # for every BODY_LEAST_BYTES: an upload may take hours, but not stand still
BODY_LEAST_BYTES = 4096  # 140 bytes a second, less than a modem's
LOOK_S = 5.0  # a deadline is met to this precision, with one timer for a connection that waits
LINGER_S = 1.0  # a client that is still sending reads the refusal before the connection is gone

Owed = Literal["", "head", "body"]


class TooSlow(DevexError):
    def __init__(self) -> None:
        message = "The request did not come in time."
        super().__init__("too_slow", message, "Try again on a better connection.", status=408, retryable=True)


class HeadTooLarge(DevexError):
    def __init__(self) -> None:
        message = f"The request's headers are larger than {HEAD_MOST_BYTES // 1024} KiB."
        super().__init__("head_too_large", message, "Remove the cookies of this site.", status=431)


class TooManyConnections(DevexError):
    def __init__(self) -> None:
        message = "Too many connections are open from this address."
        super().__init__("connections", message, "Close some pages and try again.", status=429, retryable=True)


class NoMoreConnections(DevexError):
    def __init__(self) -> None:
        message = "The server has as many connections as it can hold."
        super().__init__("connections", message, "Try again in a minute.", status=503, retryable=True)


def connection_factory(settings: Settings) -> Callable[..., "Connection"]:
    """What uvicorn calls for each connection. Also lets this process open the files that many connections need."""
    files, files_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MOST  # half of them are for REPLs and the database
    if 0 <= files < wanted:
        files = wanted if files_most < 0 else min(wanted, files_most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files_most))
    most = CONNECTIONS_MOST if files < 0 else min(CONNECTIONS_MOST, files // 2)

    proxies = tuple(map(ip_network, settings.trusted_proxies))

    def is_client(address: str) -> bool:
        """And not a proxy, which brings everybody: over https there is always one, for TLS ends in it."""
        return not settings.https and not is_within(address, proxies)

    return partial(Connection, most=most, is_client=is_client, slices=TimeSlices())


class Connection(HttpToolsProtocol):
    """`most` is of all connections; `is_client` says whether an address is one client's, and limited by itself."""

    def __init__(
        self, *arguments: Any, most: int, is_client: Callable[[str], bool], slices: TimeSlices, **named: Any
    ) -> None:
        self._most = most
        self._is_client = is_client
        self._owed: Owed = ""  # what the client has begun, or has to
        self._since = 0.0
        self._body_bytes = 0  # of the body, since then
        self._framing_bytes = 0  # read without any of a body
        self._timer: Any = None
        self._refused = False
        super().__init__(*arguments, **named)
        # a third less time for a key than the one NiceGUI asks for
        self.ws_protocol_class = partial(WebSocket, slices=slices)  # type: ignore[assignment]

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if len(self.connections) > self._most:
            self._refuse(NoMoreConnections())
        elif self._is_client(address) and self._open_from(address) > CONNECTIONS_BY_ADDRESS:
            self._refuse(TooManyConnections())
        else:
            self._owe("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._owe_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self._owed and not self._answering():
            self._owe("head")  # whatever it is: empty lines would keep a connection for ever
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._owed and self._framing_bytes > HEAD_MOST_BYTES:
            self._refuse(HeadTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._owed:
            self._owe("head")

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._framing_bytes = 0
        self._owe("body")

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._framing_bytes = 0
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._framing_bytes = 0
        self._owed = ""

    def handle_websocket_upgrade(self) -> None:
        self._owe_nothing()
        super().handle_websocket_upgrade()

    # Parts

    def _open_from(self, address: str) -> int:
        """With this one, and with WebSockets: uvicorn keeps all in one set."""
        network = network_of(address)
        clients = (getattr(connection, "client", None) for connection in self.connections)
        return sum(1 for client in clients if client and network_of(client[0]) == network)

    def _owe(self, what: Owed) -> None:
        self._owed, self._since, self._body_bytes = what, self.loop.time(), 0
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_S, self._look)

    def _owe_nothing(self) -> None:
        self._owed = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._owed:
            return
        now = self.loop.time()
        if self._owed == "body" and (self._body_bytes >= BODY_LEAST_BYTES or self._held_back()):
            self._since, self._body_bytes = now, 0
        if now - self._since >= (HEAD_WITHIN_S if self._owed == "head" else BODY_WITHIN_S):
            self._refuse(TooSlow())
        else:
            self._timer = self.loop.call_later(LOOK_S, self._look)

    def _held_back(self) -> bool:
        """It is us who do not read."""
        return self.flow.read_paused or self.cycle.waiting_for_100_continue

    def _answering(self) -> bool:
        return self._asked() and not self.cycle.response_complete

    def _asked(self) -> bool:
        cycle: object = self.cycle  # none before the first request, whatever uvicorn's hint says
        return cycle is not None

    def _refuse(self, error: DevexError) -> None:
        """Say why, where nothing has been said yet, and hang up."""
        silent = self._owed == "head" and not self._framing_bytes  # a browser's spare connection
        begun = self.cycle.response_started if self._owed == "body" else self._answering()
        self._owe_nothing()
        self._refused = True
        self._timer = self.loop.call_later(LINGER_S, self.transport.abort)
        if silent or begun or self.pipeline:
            self.transport.close()
            return
        if self._asked():
            self.cycle.disconnected = True  # what waits for the rest of the body waits no longer
            self.cycle.message_event.set()
        self.flow.resume_reading()
        self.transport.write(_as_bytes(error))
        self.transport.write_eof()


def _as_bytes(error: DevexError) -> bytes:
    answer = json_answer(error)
    lines = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)])
