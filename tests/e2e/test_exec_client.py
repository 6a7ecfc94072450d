"""The client of examples/, as a program of its own, at a real server with a real sandbox."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from subprocess import PIPE

import httpx
import pytest

from tests.e2e.serving import ROOT, Served

DEADLINE_S = 120
DATA = os.urandom(1 << 20)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[tuple[list[str], dict[str, str]]]:
    """-> its command and environment, for a REPL that runs."""
    with httpx.Client(base_url=served.url, headers={"Origin": served.url}, trust_env=False, timeout=DEADLINE_S) as ada:
        assert ada.post("/api/users", json={"name": "ada-of-scripts", "password": "correct horse"}).status_code == 201
        token = ada.post("/api/account/tokens", json={"name": "test"}).json()["token"]
        repl = ada.post("/api/repls", json={"name": "Scripted", "template": "blank"}).json()["id"]
        assert ada.post(f"/api/repls/{repl}/start?wait=true").status_code == 200
        yield (
            [sys.executable, str(ROOT / "examples/exec_client.py"), f"{served.url}/repls/{repl}/exec", "60"],
            {**os.environ, "DEVEX_TOKEN": token},
        )


def ran(client: tuple[list[str], dict[str, str]], *argv: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command, environment = client
    return subprocess.run(
        [*command, *argv], env=environment, input=given, capture_output=True, timeout=DEADLINE_S, check=False
    )


def test_bytes_go_in_and_come_out_as_they_are(client: tuple[list[str], dict[str, str]]) -> None:
    summed = ran(client, "sha256sum", given=DATA)
    assert (summed.returncode, summed.stderr) == (0, b"")
    assert summed.stdout.split()[0].decode() == hashlib.sha256(DATA).hexdigest()
    assert ran(client, "cat", given=DATA).stdout == DATA


def test_it_ends_as_its_program_does(client: tuple[list[str], dict[str, str]]) -> None:
    failed = ran(client, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (failed.returncode, failed.stdout, failed.stderr) == (7, b"out\n", b"err\n")
    unknown = ran(client, "no-such-program")
    assert unknown.returncode == 255
    assert b"could not be started" in unknown.stderr
    satisfied = ran(client, "head", "-c", "3", given=DATA)
    assert (satisfied.returncode, satisfied.stdout, satisfied.stderr) == (0, DATA[:3], b"")


def test_ctrl_c_ends_the_program(client: tuple[list[str], dict[str, str]]) -> None:
    command, environment = client
    argv = [*command, "sh", "-c", "echo $$; while :; do sleep 0.1; done"]
    with subprocess.Popen(argv, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE) as one:
        assert one.stdout
        assert one.stderr
        pid = one.stdout.readline().decode().strip()
        one.send_signal(signal.SIGINT)
        assert one.wait(DEADLINE_S) == 130
        assert one.stderr.read() == b""
    wait = 'while kill -0 "$0" 2>/dev/null; do sleep 0.1; done; echo gone'
    assert ran(client, "sh", "-c", wait, pid).stdout == b"gone\n"


def test_its_time_is_limited(client: tuple[list[str], dict[str, str]]) -> None:
    command, environment = client
    limited = ran(([*command[:-1], "1"], environment), "sh", "-c", "echo begun; sleep 1000")
    assert (limited.returncode, limited.stdout) == (124, b"begun\n")


def test_lines_of_json_need_no_client(client: tuple[list[str], dict[str, str]]) -> None:
    command, environment = client
    bearing = {"Authorization": f"Bearer {environment['DEVEX_TOKEN']}"}
    asked = {"argv": ["sh", "-c", "cat; exit 3"], "env": "A=1"}
    with httpx.stream(
        "POST", command[-2], params=asked, content=b"in", headers=bearing, trust_env=False, timeout=DEADLINE_S
    ) as answer:
        first, last = list(answer.iter_lines())
    assert first == '{"stdout":"in"}'
    assert '"exit_code":3' in last
