"""The real command in a process of its own, and who signs in to the server it starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
DEADLINE_S = 60.0
ENDS_S = 60  # versions are saved for 30 s at most, and programs get 5 s


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """Nothing of ours but what is named: NiceGUI looks for signs of a test run."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    given = {"DATA_DIR": folder / "data", "PORT": free_port()} | {name.upper(): one for name, one in settings.items()}
    return kept | {"PYTHONPATH": str(ROOT)} | {f"DEVEX_{name}": str(value) for name, value in given.items()}


def devex(folder: Path, *words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(
        command, env=environment(folder, **settings), cwd=folder, capture_output=True, text=True, timeout=60
    )


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """-> the process, where it is, and the set-up link ("" when there is none)."""
    given = environment(folder, **settings)
    command = [sys.executable, str(ROOT / "main.py")]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, env=given, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout
    try:
        first = process.stdout.readline()
        assert "DEVEX is at " in first, (folder / "log").read_text()
        origin = first.split()[-1]
        link = process.stdout.readline().split()[-1] if not settings.get("second") else ""
        yield process, origin, link
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(ENDS_S)
        process.stdout.close()


@contextmanager
def administrator(origin: str, link: str) -> Iterator[httpx.Client]:
    """The first user, `ada`, signed in."""
    with httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False, timeout=DEADLINE_S) as browser:
        first = {"token": link.partition("token=")[2], "name": "ada", "password": PASSWORD}
        assert browser.post("/api/setup", json=first).status_code == 201
        yield browser


@contextmanager
def sign_in(origin: str) -> Iterator[httpx.Client]:
    """`ada` again, at a later server."""
    with httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False, timeout=DEADLINE_S) as browser:
        assert browser.post("/api/session", json={"name": "ada", "password": PASSWORD}).status_code == 200
        yield browser


def new_repl(browser: httpx.Client, name: str, template: str = "blank") -> str:
    """-> its id; it runs."""
    repl: str = browser.post("/api/repls", json={"name": name, "template": template}).json()["id"]
    assert browser.post(f"/api/repls/{repl}/start", params={"wait": True}).json()["phase"] == "running"
    return repl


def stop(browser: httpx.Client, repl: str) -> None:
    """Returns when it has stopped."""
    browser.post(f"/api/repls/{repl}/stop")
    until(lambda: browser.get(f"/api/repls/{repl}").json()["phase"] == "stopped")


def until(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at, "it took too long"
        time.sleep(0.05)
