"""Servers of pages that show the elements, each in a process of its own, on loopback."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@contextmanager
def serving(module: str, *arguments: Path) -> Iterator[str]:
    """Runs `python -m module ARGUMENTS PORT`, which says "ready" once it serves; -> its address."""
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
    command = [sys.executable, "-m", module, *map(str, arguments), str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            for line in server.stdout:
                if line == "ready\n":
                    break
            assert server.poll() is None
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.communicate()
