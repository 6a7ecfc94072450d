"""`WS /control`: what a proxy in a pod says to the control plane, and what it asks.

Every server of the control plane opens one, for only it knows where the pod is. JSON in text messages:

    proxy -> control plane   {"ready": bool} whether the agent is there, first of all and whenever it changes
                             {"activity": reason}
                             {"ask": number, "question": see `runner.snapshots.stores.asking`, or
                                                         {"session": id} whether it may see previews -> {"good": bool}}
    control plane -> proxy   {"ask": number, "answer": …}
"""

import asyncio
import json
import logging
from contextlib import suppress
from itertools import count
from typing import Any, Final

from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import Receive, Scope, Send

from runner.errors import DevexError
from runner.snapshots.stores.store import StoreError
from runner.viewer import CONTROL_PLANE, viewer_of

PATH: Final = "/control"
ANSWER_S: Final = 60.0  # S3's own patience, and a control plane that is being replaced
QUESTIONS_MOST: Final = 64  # a version is written with a few requests at a time
UNSENT_MOST: Final = 256  # of what is told, beside questions; activities are told again
SERVERS_MOST: Final = 16  # of one control plane, and those of them that died unheard; beyond them the oldest is left

_LEFT: Final = 4000

Message = dict[str, Any]

log = logging.getLogger(__name__)


class Unclaimed(DevexError):
    """It serves nobody before a control plane has said that this is the pod which acts for its epoch."""

    def __init__(self) -> None:
        super().__init__("unclaimed", "The REPL is not up yet.", "Try again.", status=503, retryable=True)


class Control:
    """All servers of a control plane are told and asked the same. Each can answer, and the first answer counts: none of
    them is missed when it dies. A new one is asked what nobody has answered yet."""

    def __init__(self) -> None:
        self.claimed = asyncio.Event()  # a control plane has been here: this pod is the one that acts for its epoch
        self._ready = False
        self._numbers = count(1)
        self._asked: dict[int, tuple[Message, asyncio.Future[Message]]] = {}
        self._unsent: list[asyncio.Queue[Message]] = []  # of each connection, the oldest first

    async def ask(self, question: Message) -> Message:
        """Raises StoreError: there is no control plane, or it does not answer in time."""
        if len(self._asked) >= QUESTIONS_MOST:
            raise StoreError("Too much is asked at once.", retryable=True)
        number = next(self._numbers)
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._asked[number] = question, answer
        self._tell({"ask": number, "question": question})
        try:
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise StoreError("DEVEX's server cannot be reached from the REPL.", retryable=True) from None
        finally:
            del self._asked[number]

    def active(self, reason: str) -> None:
        self._tell({"activity": reason})

    def show(self, ready: bool) -> None:
        self._ready = ready
        self._tell({"ready": ready})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if viewer_of(scope) != CONTROL_PLANE:
            await send({"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION})
            return
        await send({"type": "websocket.accept"})
        unsent: asyncio.Queue[Message] = asyncio.Queue(UNSENT_MOST + QUESTIONS_MOST + 1)
        unsent.put_nowait({"ready": self._ready})
        for number, (question, _) in self._asked.items():
            unsent.put_nowait({"ask": number, "question": question})
        self._unsent.append(unsent)
        if len(self._unsent) > SERVERS_MOST:
            _leave(self._unsent.pop(0))
        self.claimed.set()
        sending = asyncio.create_task(_send_all(unsent, send), name="told to the control plane")
        listening = asyncio.create_task(self._listen(receive), name="control plane's answers")
        try:
            await asyncio.wait([sending, listening], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._unsent = [one for one in self._unsent if one is not unsent]
            for task in (sending, listening):
                task.cancel()
            await asyncio.wait([sending, listening])
        if not sending.cancelled() and sending.exception() is None:
            await send({"type": "websocket.close", "code": _LEFT})
        elif not listening.cancelled() and (error := listening.exception()) is not None:
            log.error("the control plane said what is no message", exc_info=error)
            await send({"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION})

    async def _listen(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            said = json.loads(message["text"])
            _, waiting = self._asked.get(said["ask"], (None, None))
            if waiting is not None and not waiting.done():
                waiting.set_result(said["answer"])

    def _tell(self, message: Message) -> None:
        """To nobody while there is no connection: what matters is told to the next one."""
        for unsent in self._unsent:
            with suppress(asyncio.QueueFull):  # it does not listen any more
                unsent.put_nowait(message)


def _leave(unsent: asyncio.Queue[Message]) -> None:
    if unsent.full():
        unsent.get_nowait()
    unsent.put_nowait({})


async def _send_all(unsent: asyncio.Queue[Message], send: Send) -> None:
    """Until it is left: an empty message."""
    while message := await unsent.get():
        await send({"type": "websocket.send", "text": json.dumps(message, separators=(",", ":"))})
