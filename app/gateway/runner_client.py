"""Asking a REPL's runner from within the server: what the gateway does for browsers, without a socket between."""

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.errors import DevexError
from runner.viewer import Viewer

DEADLINE_S = 30.0  # a stop kills after 5 s, and what a stopped REPL holds is read from its store


class Silent(DevexError):
    def __init__(self) -> None:
        message = "The REPL does not answer."
        super().__init__("silent", message, "Try again in a few seconds.", status=504, retryable=True)


class RunnerClient:
    """The runner's JSON routes; what they refuse is raised as DevexError."""

    def __init__(self, app: ASGIApp, viewer: Viewer) -> None:
        async def with_viewer(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "devex.viewer": viewer}, receive, send)

        transport = httpx.ASGITransport(app=with_viewer)
        # Opens no socket, so there is nothing to close; without trust_env=False it would look for proxies each time.
        self._client = httpx.AsyncClient(
            transport=transport, base_url="http://runner", timeout=DEADLINE_S, trust_env=False
        )

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The decoded answer, None when it is empty."""
        try:
            async with asyncio.timeout(DEADLINE_S):  # its transport keeps no time-out of its own
                response = await self._client.request(method, f"/{path}", json=body)
        except TimeoutError:
            raise Silent from None
        if response.is_error:
            raise _refusal(response)
        return response.json() if response.content else None


def _refusal(response: httpx.Response) -> DevexError:
    try:
        about = response.json()["error"]
        return DevexError(about["code"], about["message"], about["action"], status=response.status_code)
    except (ValueError, KeyError, TypeError):
        sentence = f"The REPL answered with status {response.status_code}."
        return DevexError("runner", sentence, "Try again.", status=502, retryable=True)
