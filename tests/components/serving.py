"""Servers of pages that show the elements, each in a process of its own, on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60


@contextmanager
def serving(module: str, *arguments: Path) -> Iterator[str]:
    """Runs `python -m module ARGUMENTS PORT`; -> its address, once it serves there."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
    command = [sys.executable, "-m", module, *map(str, arguments), str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        try:
            ends_at = time.monotonic() + DEADLINE_S
            while not _listens(port):
                assert server.poll() is None, f"{module} ended with {server.returncode}"
                assert time.monotonic() < ends_at, f"{module} does not come up"
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
