"""DEVEX as its users run it: `python main.py` in a process of its own, with a first person signed in."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
START_DEADLINE_S = 30
_NONE: Mapping[str, str] = {}
PASSWORD = "correct horse battery staple"


class Server:
    """One running DEVEX and an API client that is signed in as its administrator."""

    def __init__(self, directory: Path, settings: Mapping[str, str], *, counted: bool = False) -> None:
        """`counted`: says how many `tasks` it has."""
        self._settings = settings
        self._tasks = directory / "tasks"
        program = ["-m", "tests.bench.counted", str(self._tasks)] if counted else [str(ROOT / "main.py")]
        self._command = [sys.executable, *program]
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.url, headers={"Origin": self.url}, timeout=60)

    def start(self) -> None:
        """Start the process and wait until it answers."""
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI", "DEVEX_"))
        }
        environment |= {"DEVEX_PORT": str(self.port), "DEVEX_DATA_DIR": str(self.directory / "data")}
        environment |= {f"DEVEX_{name.upper()}": value for name, value in self._settings.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._healthy():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def _healthy(self) -> bool:
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False

    def sign_in(self) -> None:
        """Become the first administrator by the link that the server printed."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not (link := re.search(r"/setup\?token=([\w-]+)\s", self.log.read_text())):
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        body = {"name": "bench", "password": PASSWORD, "token": link[1]}
        self.http.post("/api/setup", json=body).raise_for_status()

    @property
    def cookie(self) -> str:
        """The session as a Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())

    def create(self, template: str = "python", name: str = "bench") -> dict[str, Any]:
        """A new REPL, running."""
        answer = self.http.post("/api/repls", json={"name": name, "template": template})
        answer.raise_for_status()
        made: dict[str, Any] = answer.json()
        return made

    def stop_repl(self, repl_id: str) -> None:
        """Stop, and wait until it is stopped."""
        self.http.post(f"/api/repls/{repl_id}/stop").raise_for_status()
        while self.http.get(f"/api/repls/{repl_id}").json()["phase"] != "stopped":
            time.sleep(0.02)

    def delete(self, repl_id: str) -> None:
        """Stop and throw away."""
        self.http.delete(f"/api/repls/{repl_id}").raise_for_status()

    def pss_mib(self) -> float:
        """Proportional memory of the server's own process, in MiB."""
        assert self.process
        return psutil.Process(self.process.pid).memory_full_info().pss / 2**20

    def tasks(self) -> int:
        """Of its event loop."""
        assert self.process
        self._tasks.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._tasks.exists():
            assert time.monotonic() < deadline, "it does not say how many tasks it has"
            time.sleep(0.01)
        return int(self._tasks.read_text())

    def stop(self) -> None:
        """Ctrl-C: everything ends, REPLs too."""
        self.http.close()
        assert self.process
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)  # versions are saved for 30 s at most
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def running(settings: Mapping[str, str] = _NONE, *, counted: bool = False) -> Iterator[Server]:
    """A server in an empty directory, with `settings` by name, signed in; gone with what it started after the block."""
    with tempfile.TemporaryDirectory(prefix="devex-bench-") as directory:
        os.chmod(directory, 0o755)  # a sandbox's own uid must reach its workspace below it
        server = Server(Path(directory), settings, counted=counted)
        server.start()
        try:
            server.sign_in()
            yield server
        finally:
            server.stop()
