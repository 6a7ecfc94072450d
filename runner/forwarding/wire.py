"""The frames of a link, both directions: one octet that names the kind, then its payload.

    gateway -> proxy   HELLO nonce
    proxy -> gateway   PROOF nonce, proof
    gateway -> proxy   PROOF proof
    then, again and again
    gateway -> proxy   BEGIN {token, scope}, then BODY… END of an HTTP request, or TEXT, BYTES, CLOSE of a WebSocket
    proxy -> gateway   START {status, headers}, BODY… END, or ACCEPT {subprotocol, headers}, TEXT, BYTES, CLOSE

Bodies travel in pieces of at most PIECE_BYTES. A link that has carried a WebSocket, or whose request was not sent to
its end, is closed; any other carries the next request.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, Final

from starlette.types import Message, Scope

PIECE_BYTES: Final = 256 * 1024  # of a body: what another terminal's key may have to wait for
FRAME_MOST_BYTES: Final = 9 << 20  # the largest message of a browser's WebSocket is 8 MiB
HEAD_MOST_BYTES: Final = 128 * 1024  # of a START, ACCEPT or CLOSE: whoever reads JSON holds up others meanwhile
GREETING_MOST_BYTES: Final = 128  # a kind, a nonce and a proof: nothing longer is taken from a stranger
STRANGER_MOST_BYTES: Final = PIECE_BYTES + 1  # at the proxy, where a first request comes right behind the proof
PATH: Final = "/link"


class Kind(IntEnum):
    HELLO = 1
    PROOF = 2
    BEGIN = 3
    START = 4
    BODY = 5
    END = 6  # the last piece of a body
    ACCEPT = 7
    TEXT = 8
    BYTES = 9
    CLOSE = 10


_HEADS: Final = frozenset({Kind.START, Kind.ACCEPT, Kind.CLOSE})
_OCTETS: Final = {kind: bytes((kind,)) for kind in Kind}
_KINDS: Final = frozenset(Kind)
_PLAIN: Final = ("type", "method", "path", "scheme", "http_version", "subprotocols")
_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_OCTET_FIELDS: Final = ("raw_path", "query_string")


class BadFrame(Exception):
    """Not of this protocol, or not now. The link is closed."""


def frame(kind: Kind, payload: bytes | memoryview = b"") -> bytes:
    return b"".join((_OCTETS[kind], payload))


def parsed(data: bytes | str) -> tuple[Kind, bytes]:
    """-> (kind, payload). Raises BadFrame."""
    if isinstance(data, str) or not data or data[0] not in _KINDS:
        raise BadFrame("no frame of a link")
    return Kind(data[0]), data[1:]


def begin(token: str, scope: Scope) -> bytes:
    """Opens a request: of its scope only what a REPL's routes look at."""
    told: dict[str, Any] = {name: scope[name] for name in _PLAIN if name in scope}
    told |= {name: scope[name].decode("latin-1") for name in _OCTET_FIELDS}
    return frame(Kind.BEGIN, _json({"token": token, "headers": _text_pairs(scope["headers"]), **told}))


def begun(payload: bytes) -> tuple[str, Scope]:
    """-> (token, scope). Raises BadFrame."""
    with _as_told():
        told = json.loads(payload)
        scope: Scope = {
            **{name: told[name] for name in _PLAIN if name in told},
            **{name: told[name].encode("latin-1") for name in _OCTET_FIELDS},
            "headers": _octet_pairs(told["headers"]),
            "root_path": "",
            "asgi": _ASGI,
        }
        if scope["type"] == "websocket":
            scope["extensions"] = {"websocket.http.response": {}}
        return str(told["token"]), scope


def frames_of(message: Message) -> Iterator[bytes]:
    """An ASGI message that an application or a browser has sent. `websocket.connect` is said by BEGIN."""
    match message["type"]:
        case "http.request" | "http.response.body" | "websocket.http.response.body":
            yield from _body(message.get("body", b""), message.get("more_body", False))
        case "http.response.start" | "websocket.http.response.start":
            yield frame(
                Kind.START, _json({"status": message["status"], "headers": _text_pairs(message.get("headers", ()))})
            )
        case "websocket.accept":
            headers = _text_pairs(message.get("headers", ()))
            yield frame(Kind.ACCEPT, _json({"subprotocol": message.get("subprotocol"), "headers": headers}))
        case "websocket.receive" | "websocket.send":
            text = message.get("text")
            yield frame(Kind.BYTES, message["bytes"]) if text is None else frame(Kind.TEXT, text.encode())
        case "websocket.disconnect" | "websocket.close":
            yield frame(Kind.CLOSE, _json({"code": message.get("code", 1000), "reason": message.get("reason") or ""}))
        case kind:
            raise BadFrame(f"{kind} does not travel over a link")


def from_browser(kind: Kind, payload: bytes, *, websocket: bool) -> Message:
    """What the application in the pod receives. Raises BadFrame."""
    if not websocket and kind in (Kind.BODY, Kind.END):
        return {"type": "http.request", "body": payload, "more_body": kind is Kind.BODY}
    if websocket and kind in (Kind.TEXT, Kind.BYTES):
        return _data("websocket.receive", kind, payload)
    if websocket and kind is Kind.CLOSE:
        return {"type": "websocket.disconnect", **_closed(payload)}
    raise BadFrame(f"{kind.name} in the wrong place")


def from_application(kind: Kind, payload: bytes, *, websocket: bool) -> Message:
    """What the application in the pod has sent. Raises BadFrame."""
    if kind in _HEADS and len(payload) > HEAD_MOST_BYTES:
        raise BadFrame("too long a head")
    response = "websocket.http.response" if websocket else "http.response"
    if kind is Kind.START:
        with _as_told():
            told = json.loads(payload)
            status = int(told["status"])
            return {"type": f"{response}.start", "status": status, "headers": _octet_pairs(told["headers"])}
    if kind in (Kind.BODY, Kind.END):
        return {"type": f"{response}.body", "body": payload, "more_body": kind is Kind.BODY}
    if websocket and kind is Kind.ACCEPT:
        with _as_told():
            told = json.loads(payload)
            subprotocol = told["subprotocol"]
            return {"type": "websocket.accept", "subprotocol": subprotocol, "headers": _octet_pairs(told["headers"])}
    if websocket and kind in (Kind.TEXT, Kind.BYTES):
        return _data("websocket.send", kind, payload)
    if websocket and kind is Kind.CLOSE:
        return {"type": "websocket.close", **_closed(payload)}
    raise BadFrame(f"{kind.name} in the wrong place")


def _body(body: bytes, more: bool) -> Iterator[bytes]:
    if len(body) <= PIECE_BYTES:
        if body or not more:
            yield frame(Kind.BODY if more else Kind.END, body)
        return
    whole = memoryview(body)
    for at in range(0, len(body), PIECE_BYTES):
        last = at + PIECE_BYTES >= len(body)
        yield frame(Kind.BODY if more or not last else Kind.END, whole[at : at + PIECE_BYTES])


def _data(name: str, kind: Kind, payload: bytes) -> Message:
    if kind is Kind.BYTES:
        return {"type": name, "bytes": payload}
    with _as_told():
        return {"type": name, "text": payload.decode()}


def _closed(payload: bytes) -> dict[str, Any]:
    with _as_told():
        told = json.loads(payload)
        return {"code": int(told["code"]), "reason": str(told["reason"])}


@contextmanager
def _as_told() -> Iterator[None]:
    """Whatever is wrong with what the other end told is a BadFrame."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # ValueError: no JSON, or no UTF-8; OverflowError: a status of 1e999
        raise BadFrame("not as this protocol says it") from error


def _json(told: dict[str, Any]) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


def _text_pairs(headers: Any) -> list[list[str]]:
    return [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]


def _octet_pairs(headers: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
