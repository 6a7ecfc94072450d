"""One connection to the preview port: how many there may be, and how long one may say nothing."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS_MOST: Final = 1024  # of an ingress controller, which limits its clients; some 20 KiB each
KEEP_ALIVE_S: Final = 75  # until a request is there; longer than an ingress controller keeps a connection (60 s)


class VisitorConnection(H11Protocol):
    """uvicorn's waits for the head of a request for ever, once an octet of it has come or before the first one."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MOST:
            transport.abort()
        else:
            self._want_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._want_request()

    def handle_websocket_upgrade(self, event: Any) -> None:
        self._want_nothing()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        self._want_nothing()
        super().connection_lost(exc)

    def _want_request(self) -> None:
        self._want_nothing()
        if not self.transport.is_closing():
            self._deadline = self.loop.call_later(KEEP_ALIVE_S, self._look)

    def _want_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _look(self) -> None:
        cycle: Any = self.cycle  # none before the first request, whatever uvicorn's hint says
        if cycle is None or cycle.response_complete:
            self.transport.abort()
