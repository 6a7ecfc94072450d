"""How a container with programs starts: the agent needs of its image a Python, and says so where there is none."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runner.agent import install
from tests.runner.proxy.stage import PYTHON

LAUNCHER = Path(__file__).resolve().parents[3] / "k8s/images/agent"
DEADLINE_S = 60.0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """/opt/devex of an image, beside an empty `bin`."""
    install(tmp_path / "devex", PYTHON)
    shutil.copy(LAUNCHER, tmp_path / "devex/agent")
    (tmp_path / "bin").mkdir()
    return tmp_path


def start(image: Path, *arguments: str) -> subprocess.Popen[str]:
    command = ["/bin/sh", str(image / "devex/agent"), *arguments]
    environment = {"PATH": str(image / "bin")}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=image)


def test_an_image_without_python_says_what_it_lacks(image: Path) -> None:
    too_old = image / "bin/python3"
    too_old.write_text("#!/bin/sh\nexit 1\n")
    too_old.chmod(0o755)
    agent = start(image)
    _, said = agent.communicate(timeout=DEADLINE_S)
    assert agent.returncode == os.EX_UNAVAILABLE
    assert said == ("This image cannot run a REPL: the agent needs Python 3.11 or newer. Install python3 in it.\n")


def test_any_python_that_is_new_enough_will_do(image: Path) -> None:
    newer = image / f"bin/python3.{sys.version_info.minor}"
    newer.symlink_to(sys.executable)
    with socket.socket(socket.AF_UNIX) as proxy:
        proxy.settimeout(DEADLINE_S)
        proxy.bind(str(image / "agent.sock"))
        proxy.listen()
        agent = start(image, "agent.sock")
        try:
            proxy.accept()[0].close()
        finally:
            agent.kill()
            agent.communicate()
