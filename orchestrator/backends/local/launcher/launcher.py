"""The launcher at work: it does what its server asks, and tells when a sandbox has ended by itself."""

import asyncio
import json
import logging
import os
import signal
import socket
from dataclasses import asdict
from typing import assert_never

from orchestrator.backends.local import wire
from orchestrator.backends.local.launcher import probes
from orchestrator.backends.local.launcher.host import Host
from orchestrator.backends.local.launcher.processes import cpu_times
from orchestrator.backends.local.launcher.supervisor import Refused, Supervisor
from orchestrator.backends.local.wire import (
    AnyRequest,
    CpuTimes,
    Ended,
    Fault,
    Freeze,
    Hello,
    List,
    Message,
    Ping,
    Probe,
    Shutdown,
    Start,
    Stop,
)
from runner.peer import peer_uid

_FIRST_SERVER_S = 60.0  # the one that started it dials at once, however short the grace time
log = logging.getLogger("devex.launcher")


class Launcher:
    """One server at a time."""

    def __init__(self, host: Host, grace_s: float) -> None:
        self._host = host
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor(host, self._on_ended)
        self._server: asyncio.StreamWriter | None = None
        self._alone: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def run(self, listening: socket.socket) -> None:
        """Until told to end, or until no server has come back in time."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signum, self._over.set)
        self._await_server(max(self._grace_s, _FIRST_SERVER_S))
        server = await asyncio.start_unix_server(self._on_connection, sock=listening, limit=wire.MAX_LINE_BYTES)
        async with server:
            await self._over.wait()
            server.close()
            await self._supervisor.stop_all()
            if self._answers:
                await asyncio.wait(self._answers)
            if self._server:
                self._server.close()

    def _await_server(self, grace_s: float) -> None:
        self._alone = self._loop.call_later(grace_s, self._over.set)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is not None or peer_uid(writer) != os.geteuid():
            writer.close()
            return
        self._server = writer
        if self._alone:
            self._alone.cancel()
        try:
            while said := await reader.readline():
                answer = asyncio.create_task(self._answer(json.loads(said)))
                self._answers.add(answer)
                answer.add_done_callback(self._answers.discard)
        except (ConnectionError, ValueError):  # ValueError: a line too long, or no JSON
            log.warning("the server's connection broke", exc_info=True)
        finally:
            self._server = None
            writer.close()
            self._await_server(self._grace_s)

    async def _answer(self, asked: Message) -> None:
        try:
            answer: Message = {"ok": await self._do(wire.request_of(asked))}
        except Refused as error:
            answer = {"error": Fault(str(error), retryable=error.retryable)}
        except Exception as error:  # a mistake of ours ends one request, not the sandboxes
            log.exception("%s failed", asked.get("verb"))
            answer = {"error": Fault(f"The launcher failed: {error!r}.")}
        self._say({"n": asked["n"], **answer})

    async def _do(self, request: AnyRequest) -> object:
        match request:
            case Ping():
                return Hello(version=wire.VERSION, pid=os.getpid(), facts=self._host.facts())
            case Start(spec):
                await self._supervisor.start(spec)
            case Stop(repl_id, epoch):
                await self._supervisor.stop(repl_id, epoch)
            case Freeze(repl_id, epoch, frozen):
                self._supervisor.freeze(repl_id, epoch, frozen)
            case List():
                return self._supervisor.running()
            case CpuTimes():
                firsts = {one.spec.repl_id: one.pid for one in self._supervisor.running()}
                return await asyncio.to_thread(cpu_times, firsts)
            case Probe():
                return probes.run(self._host)
            case Shutdown():
                await self._supervisor.stop_all()
                self._over.set()
            case _:
                assert_never(request)
        return None

    def _on_ended(self, repl_id: str, epoch: int, reason: str) -> None:
        log.info("%s %d ended: %s", repl_id, epoch, reason)
        self._say({"event": "ended", **asdict(Ended(repl_id, epoch, reason))})

    def _say(self, message: Message) -> None:
        """Answers are few and small, and the server reads them all: there is nothing to wait for."""
        if self._server and not self._server.is_closing():
            self._server.write(wire.line(message))
