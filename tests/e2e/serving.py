"""DEVEX as its users run it: `python main.py` in a process of its own, on a free port, in an empty directory."""

import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import given
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
SETUP_LINK = re.compile(r"(http://\S+/setup\?token=[\w-]+)")
START_DEADLINE_S = 60
STOP_DEADLINE_S = 60


@dataclass(frozen=True)
class Served:
    """`setup_url` is the link that the server printed for its first administrator."""

    url: str
    setup_url: str
    data_dir: Path


def new_setup_url(served: Served) -> str:
    """As `devex setup-link` prints it: makes one more administrator; those before work no longer."""
    environment = _environment() | {"DEVEX_PORT": served.url.rpartition(":")[2], "DEVEX_DATA_DIR": str(served.data_dir)}
    command = [sys.executable, "-m", "app.cli", "setup-link"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@contextmanager
def serving(*, within: Sequence[str] = (), **settings: str) -> Iterator[Served]:
    """`settings` as in the environment, without the prefix, over those of a cluster that is given; ended with Ctrl-C,
    which ends the REPLs too, except for a cluster's.

    `within` is a command that becomes the one in its further arguments, as `nice` does.
    """
    with tempfile.TemporaryDirectory(prefix="devex-e2e-") as directory:
        os.chmod(directory, 0o755)  # a sandbox's own uid must reach its workspace below it
        port = free_port()
        chosen = given.settings() | settings
        if given.settings():
            given.free_namespace()
        environment = _environment() | {f"DEVEX_{name.upper()}": value for name, value in chosen.items()}
        environment |= {"DEVEX_PORT": str(port), "DEVEX_DATA_DIR": f"{directory}/data", "PYTHONUNBUFFERED": "1"}
        said = _Log()
        command = [*within, sys.executable, str(ROOT / "main.py")]
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            reading = threading.Thread(target=said.read, args=(server.stdout,), name="server's log")
            reading.start()
            try:
                yield Served(f"http://127.0.0.1:{port}", said.setup_url(), Path(directory, "data"))
            finally:
                server.send_signal(signal.SIGINT)
                server.wait(STOP_DEADLINE_S)
                reading.join()


class _Log:
    """What the server says, read to the end so that it never waits for its reader."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._found: queue.Queue[str] = queue.Queue()

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.lines.append(line)
            if found := SETUP_LINK.search(line):
                self._found.put(found[1])
        self._found.put("")

    def setup_url(self) -> str:
        url = self._found.get(timeout=START_DEADLINE_S)
        assert url, "".join(self.lines)
        return url


def _environment() -> dict[str, str]:
    """NiceGUI takes another path when it believes that it is tested."""
    ours = ("PYTEST", "NICEGUI", "DEVEX_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
