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
    logging.getLogger("app").exception("it broke")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_traceback_shows_no_values(form: str) -> None:
    command = [sys.executable, "-c", PROGRAM, form]
    said = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True).stderr
    assert "it broke" in said
    assert "in sign_in" in said
    assert "correct-horse" not in said
