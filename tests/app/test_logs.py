import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import logging, sys
from app import logs
from app.settings import Settings

logs.set_up(Settings(_env_file=None, log_format=sys.argv[1]))

def sign_in(password):
    raise RuntimeError("broken")

try:
    sign_in("-".join(("correct", "horse")))
except RuntimeError:
    logging.getLogger("app").exception("it broke", extra={"repl_id": "r7"})
"""


@pytest.fixture(params=["console", "json"])
def said(request: pytest.FixtureRequest) -> str:
    """What PROGRAM logs."""
    command = [sys.executable, "-c", PROGRAM, request.param]
    return subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True).stderr


def test_a_traceback_shows_no_values(said: str) -> None:
    assert "it broke" in said
    assert "in sign_in" in said
    assert "correct-horse" not in said


def test_a_line_says_what_it_is_about(said: str) -> None:
    assert re.search(r"repl_id\W+r7\b", said)
