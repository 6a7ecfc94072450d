"""What every route of the proxy shares: who may ask, JSON in and out, refusals as answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from runner.errors import DevexError
from runner.viewer import ReadOnly, viewer_of
from runner.workspace.problems import explain

IDLE_S: Final = 60.0  # an upload that sends nothing for this long is over
DRAIN_BYTES: Final = 128 << 20  # of a refused upload read on, so that the browser sees why instead of a cut connection
_KINDS: Final[dict[type, str]] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}

T = TypeVar("T")
Answer = Callable[[Request], Awaitable[Response]]


class Json(Response):
    """ASCII: names that are no UTF-8 travel as escaped lone surrogates."""

    media_type = "application/json"

    def __init__(self, content: object, status_code: int = 200) -> None:
        super().__init__(json.dumps(content, separators=(",", ":")), status_code, {"Cache-Control": "no-store"})


class Routes(Router):
    """Says in our words what is no route; Starlette's are not for people, and it redirects to where we are not."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await super().not_found(scope, receive, send)
        else:
            nothing = DevexError("not_found", "There is nothing here.", "Check the address.", status=404)
            await refusal(nothing)(scope, receive, send)


class Endpoint(Route):
    """One method of a path. Refuses viewers who may only look where it `writes`, and compressed bodies; a DevexError
    of `answer` becomes the answer.
    """

    def __init__(self, method: str, path: str, answer: Answer, *, writes: bool) -> None:
        super().__init__(path, _answered(answer, writes=writes), methods=[method])

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self.methods or set()
        if scope["method"] in methods:
            await self.app(scope, receive, send)
            return
        error = DevexError("no_such_method", "This cannot be done here.", "Check the request's method.", status=405)
        response = refusal(error)
        response.headers["Allow"] = ", ".join(sorted(methods))
        await response(scope, receive, send)


def refusal(error: DevexError) -> Response:
    """As an answer."""
    return Json(error.body(), error.status)


def _answered(ask: Answer, *, writes: bool) -> Answer:
    async def answer(request: Request) -> Response:
        try:
            if writes:
                _require_writer(request)
            if request.headers.get("content-encoding", "identity") != "identity":
                raise DevexError(
                    "compressed",
                    "Compressed request bodies are not accepted.",
                    "Send the bytes as they are.",
                    status=415,
                )
            return await ask(request)
        except (DevexError, OSError) as problem:
            error = problem if isinstance(problem, DevexError) else explain(problem, "")
            await _drain(request)
            return refusal(error)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it

    return answer


def _require_writer(request: Request) -> None:
    if not viewer_of(request.scope).can_write:
        raise ReadOnly


async def _drain(request: Request) -> None:
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(IDLE_S):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
    except (ClientDisconnect, RuntimeError, TimeoutError):
        return  # RuntimeError: it was read whole


async def json_body(request: Request, limit_bytes: int) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise DevexError("too_large", f"The request holds more than {limit_bytes} bytes.", "Send less.", status=413)
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise DevexError("bad_request", "The request is not a JSON object.", "Send JSON.")
    return fields


def field(fields: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    value = fields.get(name, default)
    if type(value) is not kind:
        raise DevexError("bad_request", f"The field “{name}” is missing or wrong.", f"Send {_KINDS[kind]} in it.")
    return value
