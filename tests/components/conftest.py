"""A browser in front of a server that shows the elements."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import browser, opened

__all__ = ["browser"]  # a fixture of the tests below

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Served:
    """A page's address and the workspace that it shows."""

    url: str
    workspace: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace = tmp_path_factory.mktemp("repl") / "workspace"
    workspace.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
    command = [sys.executable, "-m", "tests.components.serve", str(workspace), str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            for line in server.stdout:
                if line == "ready\n":
                    break
            assert server.poll() is None
            yield Served(f"http://127.0.0.1:{port}", workspace)
        finally:
            server.terminate()
            server.communicate()


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The page, connected; a script error in it fails the test."""
    with opened(browser, viewport={"width": 1000, "height": 700}) as page:
        page.goto(served.url)
        expect(page.locator("body[data-online]")).to_be_attached()
        yield page
