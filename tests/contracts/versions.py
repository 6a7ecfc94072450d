"""What is promised to who edits a REPL, of its versions, whatever viewers download of them while it does not run."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from starlette.types import ASGIApp, Message, Scope

from runner.viewer import Viewer

DEADLINE_S: Final = 60.0
ADA, EVE = Viewer("ada", "Ada", can_write=True), Viewer("eve", "Eve", can_write=False)


@asynccontextmanager
async def held(app: ASGIApp | None, address: str, viewer: Viewer) -> AsyncIterator[int]:
    """They ask for that, and take the head of the answer and no more -> its status."""
    assert app is not None
    path, _, query = address.partition("?")
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asked = asyncio.Event()

    async def receive() -> Message:
        if asked.is_set():
            await asyncio.get_running_loop().create_future()
        asked.set()
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] != "http.response.start":
            await asyncio.get_running_loop().create_future()
        status.set_result(message["status"])

    scope: Scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [], "devex.viewer": viewer,
    }  # fmt: skip
    answering = asyncio.ensure_future(app(scope, receive, send))
    try:
        yield await status
    finally:
        answering.cancel()
        await asyncio.wait([answering])


async def viewers_leave_downloads(app: Callable[[], ASGIApp], address: str, most: int) -> None:
    """Of that address, with an app of its own for each request, as the gateway does it."""
    async with AsyncExitStack() as stack, asyncio.timeout(DEADLINE_S):
        for _ in range(most):
            while await stack.enter_async_context(held(app(), address, EVE)) == 503:
                pass  # what was left before has not ended yet
        async with held(app(), address, EVE) as status:
            assert status == 503
        async with held(app(), address, ADA) as status:
            assert status == 200
