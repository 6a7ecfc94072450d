"""`WS events`: what happens in a REPL, as JSON text messages `{"type": ...}` to everybody who has it open.

- hello {rev, run, ports, terminals, stored, restoring, paused}, the first one, and again after a resync
- tree {rev, ops: [[folder, [row...], [removed...]]]}, rows as in `GET tree`
- ports {ports: [{port, loopback, web}]}, `web` null until a visit told
- run {as GET run}; terminals {terminals: [as GET terminals]}
- stored {version, at, changed_at, changed: [path...], problem, crowded, saving: {files, bytes, sent_bytes} | null}:
  what is safe in the store, as in `snapshots.autosave.Stored`
- restoring {path, began_at, version, at, cut_off, files, of_files, bytes, of_bytes, problem, done, notes, noted}: what
  is being brought back from the store, as in `snapshots.bringing_back.Restoring`; in hello null when nothing was
- quota {paused: {message, action} | null}: why programs are paused, null when they go on
- resync {rev?}: messages were left out, ask again for what is shown
- pong, to whatever the page says: it says something only to know that it is still heard
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from starlette.status import WS_1012_SERVICE_RESTART
from starlette.types import Receive, Scope, Send

MAX_WAITING: Final = 256  # messages, and
MAX_WAITING_BYTES: Final = 4 << 20  # for a subscriber that does not read; then it gets a resync instead


class _Subscriber:
    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._overflowed = False
        self.leaving = False

    def put(self, text: str) -> None:
        if self._overflowed:
            return
        self._waiting.append(text)
        self._bytes += len(text)
        if len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._waiting.clear()
            self._bytes = 0
            self._overflowed = True
        self.wake.set()

    def take(self, hello: Callable[[], dict[str, Any]]) -> str | None:
        if self._overflowed:
            self._overflowed = False
            self._waiting.append(_text(hello()))
            return _text({"type": "resync"})
        if not self._waiting:
            return None
        text = self._waiting.popleft()
        self._bytes = max(0, self._bytes - len(text))
        return text


class Events:
    """`hello` describes how things stand now."""

    def __init__(self, hello: Callable[[], dict[str, Any]]) -> None:
        self._hello = hello
        self._subscribers: set[_Subscriber] = set()

    def leave(self) -> None:
        """The proxy stops: who listens shall come back."""
        for subscriber in self._subscribers:
            subscriber.leaving = True
            subscriber.wake.set()

    def publish(self, message: dict[str, Any]) -> None:
        """To everybody; never waits."""
        if self._subscribers:
            text = _text(message)
            for subscriber in self._subscribers:
                subscriber.put(text)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI endpoint."""
        await receive()
        await send({"type": "websocket.accept"})
        subscriber = _Subscriber()
        subscriber.put(_text(self._hello()))
        self._subscribers.add(subscriber)
        sending = asyncio.create_task(self._send(send, subscriber), name="events")
        try:
            while (await receive())["type"] != "websocket.disconnect":
                subscriber.put(_text({"type": "pong"}))
        finally:
            self._subscribers.discard(subscriber)
            sending.cancel()
            await asyncio.wait([sending])
        if not sending.cancelled():
            sending.result()

    async def _send(self, send: Send, subscriber: _Subscriber) -> None:
        try:
            while not subscriber.leaving:
                if text := subscriber.take(self._hello):
                    await send({"type": "websocket.send", "text": text})
                else:
                    subscriber.wake.clear()
                    await subscriber.wake.wait()
            await send({"type": "websocket.close", "code": WS_1012_SERVICE_RESTART, "reason": "the server is stopping"})
        except (OSError, RuntimeError):
            return  # the browser has left; the receiving side is told as well


def _text(message: dict[str, Any]) -> str:
    """ASCII: names that are no UTF-8 travel as escaped lone surrogates."""
    return json.dumps(message, separators=(",", ":"))
