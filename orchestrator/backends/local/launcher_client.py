"""The server's end of the launcher: found or started, asked, listened to."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.backends.base import BackendError
from orchestrator.backends.local import wire
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.wire import Ended, Facts, Fault, Hello, Message, Ping, Request, Shutdown

READY_S = 60.0  # building and trying takes 0.5 s; a loaded machine some seconds
ANSWER_S = 30.0  # a stop gives programs 5 s
_ROOT = Path(__file__).resolve().parents[3]

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


class LauncherClient:
    """A connection to it. `on_ended` gets what it tells by itself; `on_lost` is called when it is gone."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_ended: Callable[[Ended], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._writer = writer
        self._on_ended = on_ended
        self._on_lost = on_lost
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self.hello: Hello  # set by `connect`
        self._listening = asyncio.create_task(self._listen(reader), name="launcher")

    @property
    def connected(self) -> bool:
        return not self._listening.done()

    @property
    def facts(self) -> Facts:
        assert self.hello.facts is not None  # `connect` gives none of another release
        return self.hello.facts

    async def ask(self, request: Request[Answer]) -> Answer:
        """Raises BackendError: it refuses, is gone or does not answer."""
        if not self.connected:
            raise _gone()
        self._next += 1
        answer = self._waiting[self._next] = asyncio.get_running_loop().create_future()
        number = self._next
        try:
            self._writer.write(wire.request_line(number, request))
            async with asyncio.timeout(ANSWER_S):
                return request.answer(await answer)
        except TimeoutError:
            raise BackendError("The launcher does not answer.", retryable=True) from None
        finally:
            del self._waiting[number]

    async def close(self) -> None:
        """Its sandboxes run on."""
        self._listening.cancel()
        await asyncio.wait([self._listening])
        self._writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while said := await reader.readline():
                self._hear(json.loads(said))
        except (ConnectionError, ValueError):  # ValueError: a line too long, or no JSON
            log.warning("the connection to the launcher broke", exc_info=True)
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_gone())
        asyncio.get_running_loop().call_soon(self._on_lost)

    def _hear(self, message: Message) -> None:
        if message.pop("event", None) == "ended":
            self._on_ended(Ended(**message))
            return
        answer = self._waiting.get(message["n"])
        if answer is None or answer.done():
            return  # came too late
        if "error" in message:
            answer.set_exception(Fault(**message["error"]).error())
        else:
            answer.set_result(message["ok"])


async def connect(
    layout: Layout, grace_s: float, *, on_ended: Callable[[Ended], None], on_lost: Callable[[], None]
) -> LauncherClient:
    """The running launcher of these data, or a new one. Raises BackendError: there can be none."""
    launcher = await _dial(layout, on_ended, on_lost)
    if launcher and launcher.hello.version != wire.VERSION:  # of another release: what runs cannot be adopted
        await launcher.ask(Shutdown())
        await launcher.close()
        launcher = None
    if launcher is None:
        await _start(layout, grace_s)
        launcher = await _dial(layout, on_ended, on_lost)
    if launcher is None:
        raise _gone()
    return launcher


async def _dial(
    layout: Layout, on_ended: Callable[[Ended], None], on_lost: Callable[[], None]
) -> LauncherClient | None:
    """None: nobody listens."""
    try:
        path = str(layout.launcher_socket)
        reader, writer = await asyncio.open_unix_connection(path, limit=wire.MAX_LINE_BYTES)
    except OSError:
        return None
    launcher = LauncherClient(reader, writer, on_ended, on_lost)
    try:
        launcher.hello = await launcher.ask(Ping())
    except BackendError:
        await launcher.close()
        action = "Stop the other DEVEX server that uses this data folder."
        raise BackendError("The launcher serves another server.", retryable=True, action=action) from None
    return launcher


async def _start(layout: Layout, grace_s: float) -> None:
    """Without our environment, which holds secrets, and in a session of its own, which Ctrl-C does not reach."""
    words = ["--data", str(layout.data), "--runtime", str(layout.runtime), "--grace-s", str(grace_s)]
    starting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator.backends.local.launcher", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        cwd="/",
        env={
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)]),
            "LANG": "C.UTF-8",
        },
    )
    assert starting.stdout
    try:
        async with asyncio.timeout(READY_S):
            said = await starting.stdout.readline()
            await starting.wait()
    except TimeoutError:
        raise BackendError("The launcher does not start.", retryable=True) from None
    report = json.loads(said or b'{"error": {"message": "The launcher ended without a word."}}')
    if "error" in report:
        raise Fault(**report["error"]).error()


def _gone() -> BackendError:
    return BackendError("The launcher is gone.", retryable=True)
