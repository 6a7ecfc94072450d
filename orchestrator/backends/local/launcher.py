"""The launcher: parent of every sandbox, so that a server may crash, be upgraded or restarted while programs run on.

    python -m orchestrator.backends.local.launcher --data DIR --runtime DIR --grace-s N

Detaches, prepares, listens, then says one JSON line on its standard output: {"ok": facts} or {"error": {...}}. When no
server has been connected for the grace time it stops every sandbox and ends; when it is killed, every sandbox dies.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import IO, NoReturn

from orchestrator.backends.local import probes, wire
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.machine import Machine, clear, prepare
from orchestrator.backends.local.processes import cpu_times
from orchestrator.backends.local.supervisor import Refused, Supervisor
from orchestrator.backends.local.system import Unusable
from orchestrator.backends.local.warden import become_launcher
from orchestrator.backends.local.wire import Message

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_LOCK_S = 15  # one that ends gives programs 5 s
log = logging.getLogger("devex.launcher")


class Launcher:
    """One server at a time."""

    def __init__(self, machine: Machine, grace_s: float) -> None:
        self._machine = machine
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._supervisor = Supervisor(machine, self._on_ended)
        self._server: asyncio.StreamWriter | None = None
        self._alone: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    async def run(self, listening: socket.socket) -> None:
        """Until told to end, or until no server has come back in time."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signum, self._over.set)
        self._await_server()
        server = await asyncio.start_unix_server(self._on_connection, sock=listening, limit=wire.MAX_LINE_BYTES)
        async with server:
            await self._over.wait()
            server.close()
            await self._supervisor.stop_all()
            if self._answers:
                await asyncio.wait(self._answers)
            if self._server:
                self._server.close()

    def _await_server(self) -> None:
        self._alone = self._loop.call_later(self._grace_s, self._over.set)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._admits(writer):
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
            self._await_server()

    def _admits(self, writer: asyncio.StreamWriter) -> bool:
        peer = writer.get_extra_info("socket")
        _, uid, _ = _CREDENTIALS.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return uid == os.geteuid() and self._server is None

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
                return {"version": wire.VERSION, "pid": os.getpid(), **self._machine.facts()}
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
                return probes.run(self._machine)
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    given = parser.parse_args()
    if os.fork():  # whoever started us waits for this one only, and the launcher is nobody's child
        os._exit(0)
    become_launcher()
    layout = Layout(given.data, given.runtime)
    report = os.dup(1)
    try:
        os.umask(0o022)
        _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # four a sandbox; each sets its own limit
        _speak_to(layout.log)
        lock = _only_one(layout)
        layout.make()  # the one before us may just have cleared it away
        _keep(layout.runtime)
        machine = prepare(layout)
        listening = _listen(layout.launcher_socket)
    except Unusable as error:
        _report(report, {"error": {"message": error.message, "action": error.action, "retryable": False}})
        sys.exit(1)
    except Exception as error:
        log.exception("not started")
        action = f"Read {layout.log}."
        _report(report, {"error": {"message": f"The launcher did not start: {error}.", "action": action}})
        sys.exit(1)
    _report(report, {"ok": machine.facts()})
    log.info("ready: %s", machine.facts())
    with lock, listening:
        asyncio.run(_serve(machine, given.grace_s, listening))
        layout.launcher_socket.unlink(missing_ok=True)
        clear(layout)


async def _serve(machine: Machine, grace_s: float, listening: socket.socket) -> None:
    await Launcher(machine, grace_s).run(listening)


def _speak_to(path: Path) -> None:
    """Standard output and error become the log, begun anew."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _only_one(layout: Layout) -> IO[bytes]:
    """A lock on the data, held until the process ends; a launcher that is just ending is waited for."""

    def too_long(*_: object) -> NoReturn:
        raise Unusable(
            f"Another launcher works for {layout.data}.", "Stop the other DEVEX server that uses this folder."
        )

    file = (layout.data / "launcher.lock").open("wb")
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(_LOCK_S)
    fcntl.flock(file, fcntl.LOCK_EX)
    signal.alarm(0)
    return file


def _keep(folder: Path) -> None:
    """Systems that clean /tmp of what is old leave locked folders alone."""
    fcntl.flock(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen()
    return listening


def _report(descriptor: int, message: Message) -> None:
    os.write(descriptor, wire.line(message))
    os.close(descriptor)


if __name__ == "__main__":
    main()
