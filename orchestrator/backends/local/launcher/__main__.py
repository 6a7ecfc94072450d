"""The launcher's process, from its start to its end.

    python -m orchestrator.backends.local.launcher --data DIR --runtime DIR --grace-s N

Detaches, prepares, listens, then says one JSON line on its standard output: {"ok": Facts} or {"error": Fault}. When no
server has been connected for the grace time it stops every sandbox and ends; when it is killed, every sandbox dies.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import IO, NoReturn

from orchestrator.backends.local import wire
from orchestrator.backends.local.launcher.host import Host, clear, prepare
from orchestrator.backends.local.launcher.launcher import Launcher
from orchestrator.backends.local.launcher.system import Unusable
from orchestrator.backends.local.launcher.warden import become_launcher
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.wire import Fault, Message

_LOCK_S = 15  # one that ends gives programs 5 s
log = logging.getLogger("devex.launcher")


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
        host = prepare(layout)
        listening = _listen(layout.launcher_socket)
    except Unusable as error:
        _report(report, {"error": Fault(error.message, error.action, retryable=False)})
        sys.exit(1)
    except Exception as error:
        log.exception("not started")
        action = f"Read {layout.log}."
        _report(report, {"error": Fault(f"The launcher did not start: {error}.", action)})
        sys.exit(1)
    _report(report, {"ok": host.facts()})
    log.info("ready: %s", host.facts())
    with lock, listening:
        asyncio.run(_serve(host, given.grace_s, listening))
        layout.launcher_socket.unlink(missing_ok=True)
        clear(layout)


async def _serve(host: Host, grace_s: float, listening: socket.socket) -> None:
    await Launcher(host, grace_s).run(listening)


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
