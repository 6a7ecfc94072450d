"""One claimed pod, as the control plane has it: the links to it, and the control connection that is kept."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Message, Scope

from orchestrator.backends.base import BackendError
from orchestrator.backends.kubernetes.control import PodControl
from orchestrator.backends.kubernetes.forward import Dial, Forward
from runner.errors import DevexError
from runner.forwarding.keys import Impostor, Incarnation
from runner.snapshots.stores.asking import Ask
from runner.viewer import CONTROL_PLANE

SAVE: Final = "/save"
FLUSH: Final = "/flush"
ANSWER_MOST_BYTES: Final = 64 * 1024  # a version, or why there is none


async def command(forward: Forward, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Of the control plane, to a proxy; -> what it answers. Raises Impostor, BackendError."""
    scope: Scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"content-type", b"application/json")], "scheme": "http", "http_version": "1.1",
        "devex.viewer": CONTROL_PLANE,
    }  # fmt: skip
    asked: list[Message] = [{"type": "http.request", "body": json.dumps(fields).encode(), "more_body": False}]
    status, body = 0, b""

    async def receive() -> Message:
        if asked:
            return asked.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")
        if len(body) > ANSWER_MOST_BYTES:
            raise ValueError("too long")

    try:
        await forward(scope, receive, send)
        told: Any = json.loads(body)
    except Impostor:
        raise
    except DevexError as error:
        raise BackendError(error.message, retryable=error.retryable, action=error.action) from error
    except (ValueError, OSError, RecursionError) as error:
        raise BackendError("The REPL's proxy said what is no answer.", retryable=True) from error
    match told:
        case {"error": {"message": str(message), "action": str(action)}}:
            raise BackendError(message, retryable=status >= 500, action=action)
        case dict():
            return told
    raise BackendError("The REPL's proxy said what is no answer.", retryable=True)


class ClaimedPod:
    """Made when it is claimed; `close` when it is gone. `changed` is called when `answers` does."""

    def __init__(
        self,
        incarnation: Incarnation,
        dial: Dial,
        key: bytes,
        *,
        answer: Ask,
        on_activity: Callable[[str], None],
        changed: Callable[[], None],
    ) -> None:
        self.incarnation = incarnation
        self.answers = False  # its proxy, and in it the agent
        self.forward = Forward(dial, key, incarnation)
        self._changed = changed
        control = PodControl(self.forward, answer=answer, on_ready=self._ready, on_activity=on_activity)
        self._control = asyncio.create_task(control.run(), name=f"control of {incarnation.repl_id}")

    async def close(self) -> None:
        self._control.cancel()
        await asyncio.wait([self._control])
        self.forward.close()

    async def save(self, message: str) -> str:
        """-> the version that holds everything. Raises BackendError."""
        told = await self._ask(SAVE, {"message": message})
        return str(told.get("version", ""))

    async def flush(self) -> None:
        """Every document to disk. Raises BackendError."""
        await self._ask(FLUSH, {})

    def _ready(self, ready: bool) -> None:
        if ready != self.answers:
            self.answers = ready
            self._changed()

    async def _ask(self, path: str, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return await command(self.forward, path, fields)
        except Impostor as error:
            raise BackendError(error.message, retryable=False, action=error.action) from error
