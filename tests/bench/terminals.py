"""Start, echo and flood, through the whole stack: HTTP and WebSocket in, a sandboxed shell out."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.bench import bare
from tests.bench.figures import Measured
from tests.bench.server import ROOT, Server

STARTS = 15
ECHO_ROUNDS, ECHO_KEYS = 5, 200
FLOOD_BYTES = 20_000_000
# base64 of 15 MB of zeros, unwrapped: with lines of 76 the kernel's line discipline alone holds a bare PTY to 20 MB/s
FLOOD_COMMAND = "head -c 15000000 /dev/zero | base64 -w 0"


class Client:
    """tests/bench/client.py in its process."""

    def __init__(self, process: subprocess.Popen[str], server: Server) -> None:
        self.process = process
        self.server = server

    def do(self, name: str, **task: Any) -> dict[str, Any]:
        """Have a task done and get its answer."""
        assert self.process.stdin
        assert self.process.stdout
        task = {"do": name, "cookie": self.server.cookie, "origin": self.server.url} | task
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def client(server: Server) -> Iterator[Client]:
    """A client process, warmed up."""
    command = [sys.executable, "-m", "tests.bench.client"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        yield Client(process, server)
        assert process.stdin
        process.stdin.close()


def new_terminal(server: Server, repl_id: str) -> str:
    """The WebSocket address of a new shell."""
    answer = server.http.post(f"/repls/{repl_id}/terminals", json={"cols": 80, "rows": 24})
    answer.raise_for_status()
    return terminal_url(server, repl_id, answer.json()["id"])


def terminal_url(server: Server, repl_id: str, terminal: str) -> str:
    """Where a terminal is attached to."""
    return f"{server.url.replace('http', 'ws', 1)}/repls/{repl_id}/terminals/{terminal}?after=0"


def create_to_prompt(server: Server) -> Measured:
    """API call to the answer of a first command on the WebSocket; the limit is a bare sandbox that prints a line."""
    times, limits = [], []
    with client(server) as other:
        for number in range(STARTS):
            limits.append(bare.sandbox_ms())
            started = time.time()
            repl = server.create(name=f"start {number}")
            at = other.do("prompt", url=new_terminal(server, repl["id"]))["at"]
            times.append((at - started) * 1000)
            server.stop_repl(repl["id"])  # its end is no part of the next one's start
            server.delete(repl["id"])
    return Measured(median(times), median(limits))


def reopen_to_prompt(server: Server) -> Measured:
    """The same for a REPL that was stopped."""
    times, limits = [], []
    repl = server.create(name="reopen")["id"]
    with client(server) as other:
        for _ in range(STARTS):
            server.stop_repl(repl)
            limits.append(bare.sandbox_ms())
            started = time.time()
            server.http.post(f"/api/repls/{repl}/start").raise_for_status()
            at = other.do("prompt", url=new_terminal(server, repl))["at"]
            times.append((at - started) * 1000)
    server.delete(repl)
    return Measured(median(times), median(limits))


def echo(server: Server) -> Measured:
    """Key to echo, in rounds interleaved with a bare PTY's."""
    times: list[float] = []
    limits: list[float] = []
    repl = server.create(name="echo")["id"]
    with client(server) as other:
        for _ in range(ECHO_ROUNDS):
            limits += other.do("bare_echo", keys=ECHO_KEYS)["times"]
            times += other.do("echo", url=new_terminal(server, repl), keys=ECHO_KEYS)["times"]
    server.delete(repl)
    return Measured(median(times), median(limits))


def flood(server: Server) -> Measured:
    """20 MB of base64 at the WebSocket; the limit is a bare PTY read by nobody else."""
    rates, limits = [], []
    repl = server.create(name="flood")["id"]
    with client(server) as other:
        for _ in range(3):
            limits.append(bare.flood_mb_s(FLOOD_COMMAND.encode(), FLOOD_BYTES))
            task = {"url": new_terminal(server, repl), "command": FLOOD_COMMAND, "size_bytes": FLOOD_BYTES}
            rates.append(other.do("flood", **task)["mb_s"])
    server.delete(repl)
    return Measured(median(rates), median(limits))
