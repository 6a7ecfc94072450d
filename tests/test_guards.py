"""The guards that every test runs under, themselves."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = """
import subprocess
from pathlib import Path

def test_leaves_a_child(request):
    child = subprocess.Popen(["sleep", "600"])
    Path(request.config.rootpath, "pid").write_text(str(child.pid))
    child.returncode = 0  # says nothing to the garbage collector
"""


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_child_process_that_is_left_behind_fails_the_run(tmp_path: Path, workers: list[str]) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    (tmp_path / "test_child.py").write_text(CHILD)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, "-m", "pytest", *workers]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "child processes outlive the tests: ['sleep 600']" in ran.stdout
