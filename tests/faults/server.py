"""The server that these tests try: how it is started, and how people come in."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.serving import ROOT, Served

PASSWORD = "correct horse battery"


def mounted(script: str) -> tuple[str, ...]:
    """Before a command: it runs where `script` has mounted what nobody else sees."""
    return ("unshare", "--mount", "sh", "-ec", f'{script}; exec "$@"', "sh")


def devex(folder: Path, command: str, *, within: Sequence[str] = (), **settings: str) -> tuple[int, str, str]:
    """A command that ends by itself -> its exit code, and what it says on either output."""
    given = {"DATA_DIR": str(folder / "data")} | {name.upper(): value for name, value in settings.items()}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*within, sys.executable, "-m", "app.cli", command],
        env=environment | {f"DEVEX_{name}": value for name, value in given.items()},
        cwd=folder, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout, ended.stderr


def signed_up(served: Served, name: str) -> str:
    """-> the cookie of the new session."""
    return _cookie(served, "/api/users", name=name, password=PASSWORD)


def set_up(served: Served, name: str) -> str:
    """The first administrator -> the cookie."""
    token = served.setup_url.partition("token=")[2]
    return _cookie(served, "/api/setup", name=name, password=PASSWORD, token=token)


def _cookie(served: Served, path: str, **given: Any) -> str:
    answer = httpx.post(served.url + path, json=given, headers={"Origin": served.url}, trust_env=False)
    assert answer.status_code == 201, answer.text
    return answer.headers["set-cookie"].partition(";")[0]
