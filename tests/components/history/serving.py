"""The page of `history_page.py` in a process of its own, and how a person gets around in it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.getting_around import command, versions
from tests.ports import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DEADLINE_S = 60


class Served:
    """The page's server: `workspace` and `store` are its folders, `http` asks the REPL's routes."""

    def __init__(self, folder: Path, port: int, http: httpx.Client) -> None:
        self.http = http
        self.workspace = folder / "workspace"
        self.store = folder / "store"
        self.url = f"http://127.0.0.1:{port}"

    def until_up(self) -> None:
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.http.get("/snapshots").raise_for_status()
                return
            except httpx.TransportError:
                assert time.monotonic() < ends_at, "it does not come up"
                time.sleep(0.05)

    def write(self, path: str, content: str | bytes) -> None:
        answer = self.http.put("/files", params={"path": path}, content=content)
        assert answer.is_success, answer.text

    def save(self, name: str = "") -> str:
        """-> the version"""
        version: str = self.http.post("/snapshots", json={"name": name}).raise_for_status().json()["version"]
        return version

    def lose(self) -> None:
        """Everything but what is in the store, as a pod that is killed without grace; another one comes up."""
        self.http.post(f"{self.url}/lose").raise_for_status()

    def text(self, path: str) -> str:
        return (self.workspace / path).read_text()


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    (folder / "workspace").mkdir()
    port = free_port()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
    command = [sys.executable, str(HERE / "history_page.py"), str(folder), str(port)]
    with (
        subprocess.Popen(command, cwd=folder, env={**environment, "PYTHONPATH": str(ROOT)}) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}/repls/one", trust_env=False, timeout=DEADLINE_S) as http,
    ):
        try:
            served = Served(folder, port, http)
            served.until_up()
            yield served
        finally:
            server.terminate()


def visit(page: Page, served: Served, query: str = "") -> None:
    page.goto(f"{served.url}/{query}")
    expect(page.locator("body[data-online]")).to_be_attached()
    expect(page.get_by_role("tree")).to_be_visible()


def open_history(page: Page) -> Locator:
    """-> the versions"""
    command(page, "History")
    listed = versions(page)
    expect(listed.first).to_have_attribute("aria-selected", "true")
    return listed


def changed(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Changed files").get_by_role("option")


def sides(page: Page) -> Locator:
    return page.locator(".dx-history-texts .cm-content")
