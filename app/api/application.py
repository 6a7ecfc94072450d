"""Puts the routes together: what is refused is answered with the one shape of error."""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api import accounts, health, members, repls, users
from app.errors import public_error
from app.gateway.previews import Previews
from app.services import Services
from runner.answers import json_answer
from runner.errors import DevexError

BODY_MOST_BYTES = 64 * 1024  # names and passwords; files take the gateway's way
OPENAPI = "/api/openapi.json"
_MESSAGES = {400: "The request cannot be read.", 404: "There is nothing here.", 405: "This cannot be done here."}


def build(services: Services, previews: Previews) -> FastAPI:
    """The API, to which the door hands what is asked under /api and /healthz."""
    api = FastAPI(title="DEVEX", openapi_url=OPENAPI, docs_url=None, redoc_url=None)
    api.state.services = services
    api.state.previews = previews
    for router in (health.router, accounts.router, users.router, repls.router, members.router):
        api.include_router(router)
    api.add_exception_handler(DevexError, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _http)
    api.add_exception_handler(Exception, _refused)
    api.add_middleware(SmallBodies)
    return api


async def _refused(request: Request, error: Exception) -> Response:
    return json_answer(public_error(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "The request"
    message = f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}."
    return json_answer(DevexError("invalid", message, "Correct it and try again.", status=422))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, DevexError):  # raised while the body was read
        return json_answer(error.__cause__)
    message = _MESSAGES.get(error.status_code, error.detail)
    return json_answer(DevexError("http", message, "See /api/openapi.json.", status=error.status_code))


class Compressed(DevexError):
    def __init__(self) -> None:
        action = "Send the bytes as they are."
        super().__init__("compressed", "Compressed request bodies are not accepted.", action, status=415)


class TooLarge(DevexError):
    def __init__(self) -> None:
        message = f"The request is larger than {BODY_MOST_BYTES // 1024} KiB."
        super().__init__("too_large", message, "Send less.", status=413)


class SmallBodies:
    """ASGI middleware: reads no more of a body than a request of ours can have, and only as it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received = 0
        is_plain = dict(scope["headers"]).get(b"content-encoding", b"identity") == b"identity"

        async def bounded() -> Message:
            nonlocal received
            if not is_plain:
                raise Compressed
            message = await receive()
            received += len(message.get("body", b""))
            if received > BODY_MOST_BYTES:
                raise TooLarge
            return message

        await self._app(scope, bounded if scope["type"] == "http" else receive, send)
