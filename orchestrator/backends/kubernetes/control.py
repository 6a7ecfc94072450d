"""The control plane's end of `runner.proxy.control`: hears what a pod tells, and answers what it asks."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final

from starlette.types import Message, Scope

from orchestrator.backends.kubernetes.forward import Forward
from runner.errors import DevexError
from runner.proxy.budget import RATE_PER_S, Budget
from runner.proxy.control import PATH, QUESTIONS_MOST
from runner.snapshots.stores.asking import Ask
from runner.viewer import CONTROL_PLANE

RETRY_FIRST_S: Final = 0.1
RETRY_MOST_S: Final = 5.0
SAID_MOST: Final = 4  # messages that wait to be heard; beyond them the pod waits
HEARD_PER_S: Final = RATE_PER_S / 8  # of a pod: a thousand questions a second, a tenth of a processor
SAID_MOST_CHARACTERS: Final = 256 * 1024  # of one: a question that names a thousand objects has 90,000

_SCOPE: Final[Scope] = {
    "type": "websocket", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "headers": [],
    "scheme": "ws", "http_version": "1.1", "subprotocols": [], "devex.viewer": CONTROL_PLANE,
}  # fmt: skip

log = logging.getLogger(__name__)


class TooLong(DevexError):
    def __init__(self) -> None:
        super().__init__("too_long", "A pod says more at once than a question is long.", "Stop the REPL.", status=502)


class PodControl:
    """`answer` is for one incarnation's prefix and epoch: what is asked comes from where programs of strangers run."""

    def __init__(
        self,
        forward: Forward,
        *,
        answer: Ask,
        on_ready: Callable[[bool], None],
        on_activity: Callable[[str], None],
    ) -> None:
        self._forward = forward
        self._answer = answer
        self._on_ready = on_ready
        self._on_activity = on_activity
        self._answering: set[asyncio.Task[None]] = set()
        self._budget = Budget(asyncio.get_running_loop().time(), HEARD_PER_S)

    async def run(self) -> None:
        """Until cancelled: dials again, ever more rarely, when the connection is lost."""
        failures = 0
        while True:
            try:
                await self._converse()
                failures = 0
            except (DevexError, OSError) as error:
                failures += 1
                log.info("a pod cannot be controlled: %s", error)
            finally:
                self._on_ready(False)
            await asyncio.sleep(min(RETRY_FIRST_S * 2.0 ** min(failures, 10), RETRY_MOST_S))

    async def _converse(self) -> None:
        heard: asyncio.Queue[Message] = asyncio.Queue(SAID_MOST)
        said: asyncio.Queue[Message] = asyncio.Queue(1)  # who does not read its answers is given no more of them
        said.put_nowait({"type": "websocket.connect"})

        async def hear(message: Message) -> None:
            if len(message.get("text") or message.get("bytes") or "") > SAID_MOST_CHARACTERS:
                raise TooLong
            await heard.put(message)

        carrying = asyncio.create_task(self._forward(dict(_SCOPE), said.get, hear), name="control link")
        hearing = asyncio.create_task(self._hear_all(heard, said), name="what a pod says")
        try:
            await asyncio.wait([carrying, hearing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            together = [carrying, hearing, *self._answering]
            for task in together:
                task.cancel()
            await asyncio.wait(together)
        if not carrying.cancelled():
            carrying.result()  # raises why there is no connection

    async def _hear_all(self, heard: asyncio.Queue[Message], said: asyncio.Queue[Message]) -> None:
        now_s = asyncio.get_running_loop().time
        while (message := await heard.get())["type"] != "websocket.close":
            if message["type"] == "websocket.send":
                self._hear(message, said)
                await asyncio.sleep(self._budget.spend(1, 0, len(message.get("text") or ""), now_s()))

    def _hear(self, message: Message, said: asyncio.Queue[Message]) -> None:
        """What is no message of this protocol is dropped, and logged."""
        try:
            match json.loads(message["text"]):
                case {"ready": bool(ready)}:
                    self._on_ready(ready)
                case {"activity": str(reason)}:
                    self._on_activity(reason)
                case {"ask": int(number), "question": dict(question)} if len(self._answering) < QUESTIONS_MOST:
                    task = asyncio.create_task(self._reply(number, question, said), name="answer to a pod")
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                case _:
                    log.warning("a pod said what is no message")
        except (ValueError, KeyError, RecursionError):
            log.warning("a pod said what is no message")

    async def _reply(self, number: int, question: dict[str, Any], said: asyncio.Queue[Message]) -> None:
        answer = await self._answer(question)
        text = json.dumps({"ask": number, "answer": answer}, separators=(",", ":"))
        await said.put({"type": "websocket.receive", "text": text})
