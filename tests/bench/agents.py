"""What the agent of a sandbox costs before anybody types: started as in a sandbox, with nothing around it."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import psutil

from runner.agent import install
from tests.bench.bare import ENVIRONMENT
from tests.bench.figures import Measured

STARTS = 15
REPLS = 10  # as many as `idle_repl_mib` counts
PYTHON = "/usr/bin/python3"
WAIT_S = 10.0


def start() -> Measured:
    """Milliseconds from the process to the first byte of its greeting; beside it a Python that does nothing."""
    with _installed() as folder:
        taken, bare = [], []
        for number in range(STARTS):
            with _agent(folder, number) as (_, took_ms):
                taken.append(took_ms)
            begun = time.perf_counter()
            subprocess.run([PYTHON, "-I", "-S", "-c", ""], check=True, env=ENVIRONMENT)
            bare.append((time.perf_counter() - begun) * 1000)
    return Measured(median(taken), beside={"python3 -I -S": median(bare)})


def memory() -> Measured:
    """PSS of each of REPLS agents that have greeted; beside it that of one alone, and of a bare Python alone."""
    with _installed() as folder:
        with _agent(folder, 0) as (agent, _):
            alone = _pss_mib([agent])
        with ExitStack() as stack:
            agents = [stack.enter_context(_agent(folder, number))[0] for number in range(REPLS)]
            together = _pss_mib(agents)
    command = [PYTHON, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as python:
        assert python.stdout
        python.stdout.readline()
        bare = _pss_mib([python])
    return Measured(together, beside={"alone": alone, "python3 -I -S alone": bare})


@contextmanager
def _installed() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="devex-bench-") as name:
        install(Path(name), PYTHON)
        yield Path(name)


@contextmanager
def _agent(folder: Path, number: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """-> an agent that has greeted, and the milliseconds until it did."""
    path = folder / f"{number}.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.settimeout(WAIT_S)
        listening.bind(str(path))
        listening.listen()
        begun = time.perf_counter()
        with subprocess.Popen([PYTHON, "-I", "-S", str(folder / "agent.py"), str(path)], env=ENVIRONMENT) as agent:
            try:
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(WAIT_S)
                    assert connection.recv(1)
                    yield agent, (time.perf_counter() - begun) * 1000
            finally:
                agent.kill()


def _pss_mib(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """On average."""
    total = sum(psutil.Process(process.pid).memory_full_info().pss for process in processes)
    return float(total / len(processes) / 2**20)
