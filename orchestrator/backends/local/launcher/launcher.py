"""The launcher at work: it does what its server asks, and tells when a sandbox has ended by itself."""

import asyncio
import json
import logging
import os
import signal
import socket

from orchestrator.backends.local import wire
from orchestrator.backends.local.launcher import probes
from orchestrator.backends.local.launcher.host import Host
from orchestrator.backends.local.launcher.processes import cpu_times
from orchestrator.backends.local.launcher.supervisor import Refused, Supervisor
from orchestrator.backends.local.wire import Message
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

    async def _answer(self, request: Message) -> None:
        try:
            answer: Message = {"ok": await self._do(request)}
        except Refused as error:
            answer = {"error": {"message": str(error), "action": "", "retryable": error.retryable}}
        except Exception as error:  # a mistake of ours ends one request, not the sandboxes
            log.exception("%s failed", request.get("verb"))
            answer = {"error": {"message": f"The launcher failed: {error!r}.", "action": "", "retryable": True}}
        self._say({"n": request["n"], **answer})

    async def _do(self, request: Message) -> object:
        match request["verb"]:
            case "ping":
                return {"version": wire.VERSION, "pid": os.getpid(), **self._host.facts()}
            case "start":
                await self._supervisor.start(wire.spec_from_json(request["spec"]))
            case "stop":
                await self._supervisor.stop(request["repl_id"], request["epoch"])
            case "freeze":
                self._supervisor.freeze(request["repl_id"], request["epoch"], request["frozen"])
            case "list":
                running = self._supervisor.running()
                return [{"spec": wire.spec_to_json(one.spec), "uid": one.uid, "pid": one.pid} for one in running]
            case "cpu":
                firsts = {one.spec.repl_id: one.pid for one in self._supervisor.running()}
                return await asyncio.to_thread(cpu_times, firsts)
            case "doctor":
                return probes.run(self._host)
            case "shutdown":
                await self._supervisor.stop_all()
                self._over.set()
            case unknown:
                raise Refused(f"The launcher does not know how to {unknown}.")
        return None

    def _on_ended(self, repl_id: str, epoch: int, reason: str) -> None:
        log.info("%s %d ended: %s", repl_id, epoch, reason)
        self._say({"event": "ended", "repl_id": repl_id, "epoch": epoch, "reason": reason})

    def _say(self, message: Message) -> None:
        """Answers are few and small, and the server reads them all: there is nothing to wait for."""
        if self._server and not self._server.is_closing():
            self._server.write(wire.line(message))
