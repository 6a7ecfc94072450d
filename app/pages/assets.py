"""Scripts and styles from memory: compressed once, not once for every visitor."""

from dataclasses import dataclass, field
from posixpath import normpath

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 32 * 1024 * 1024  # all that NiceGUI and the components serve is a quarter of it
CONDITIONS = frozenset({b"range", b"if-range", b"if-none-match", b"if-modified-since"})


@dataclass(slots=True)
class _Answer:
    start: Message
    body: bytearray = field(default_factory=bytearray)


class Assets:
    """ASGI middleware outside compression. Keeps what is said to be immutable; all else passes through."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[tuple[str, bytes], _Answer] = {}
        self._kept_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
        elif kept := self._kept.get(key):
            await send(kept.start)
            await send({"type": "http.response.body", "body": bytes(kept.body)})
        else:
            await self._app(scope, receive, self._send_and_keep(key, send))

    def _send_and_keep(self, key: tuple[str, bytes], send: Send) -> Send:
        answer: _Answer | None = None

        async def send_and_keep(message: Message) -> None:
            nonlocal answer
            await send(message)
            if message["type"] == "http.response.start":
                answer = _Answer(message) if _is_immutable(message) else None
            elif answer is not None:
                answer.body += message.get("body", b"")
                if not message.get("more_body", False):
                    self._keep(key, answer)

        return send_and_keep

    def _keep(self, key: tuple[str, bytes], answer: _Answer) -> None:
        if key not in self._kept and self._kept_bytes + len(answer.body) <= MOST_BYTES:
            self._kept[key] = answer
            self._kept_bytes += len(answer.body)


def _key(scope: Scope) -> tuple[str, bytes] | None:
    """What an answer depends on; None when it is not to be kept, as with a second spelling of a path."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"]:
        return None
    if normpath(scope["path"]) != scope["path"]:
        return None
    headers = dict(scope["headers"])
    if CONDITIONS & headers.keys():
        return None
    return scope["path"], b"gzip" if b"gzip" in headers.get(b"accept-encoding", b"") else b""


def _is_immutable(start: Message) -> bool:
    headers = dict(start["headers"])
    return start["status"] == 200 and b"immutable" in headers.get(b"cache-control", b"")
