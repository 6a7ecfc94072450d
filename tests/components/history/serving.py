"""A REPL of `history_page.py`, and how a person gets around in its page."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.getting_around import command, until, versions

DEADLINE_S = 60


class Served:
    """`workspace` and `store` are its folders, `url` its page, `http` asks its routes."""

    def __init__(self, server: str, folder: Path, repl_id: str, http: httpx.Client) -> None:
        self._server = server
        self._repl_id = repl_id
        self.http = http
        self.url = f"{server}/{repl_id}"
        self.workspace = folder / "workspace"
        self.store = folder / "store"

    def write(self, path: str, content: str | bytes) -> None:
        answer = self.http.put("/files", params={"path": path}, content=content)
        assert answer.is_success, answer.text

    def save(self, name: str = "") -> str:
        """-> the version"""
        version: str = self.http.post("/snapshots", json={"name": name}).raise_for_status().json()["version"]
        return version

    def do(self, what: str) -> None:
        self.http.post(f"{self._server}/{what}/{self._repl_id}").raise_for_status()

    def lose(self) -> None:
        """Everything but what is in the store, as a pod that is killed without grace; another one comes up."""
        self.do("lose")

    def text(self, path: str) -> str:
        return (self.workspace / path).read_text()


@contextmanager
def serving(server: str, folder: Path, repl_id: str) -> Iterator[Served]:
    with httpx.Client(base_url=f"{server}/repls/{repl_id}", trust_env=False, timeout=DEADLINE_S) as http:
        served = Served(server, folder / repl_id, repl_id, http)
        served.do("begin")
        yield served
        served.do("end")


def visit(page: Page, served: Served, query: str = "") -> None:
    page.goto(f"{served.url}{query}")
    expect(page.locator("body[data-online]")).to_be_attached()
    expect(page.get_by_role("tree")).to_be_visible()


def until_saved(page: Page, path: str, content: str) -> None:
    until(
        page,
        """async ([path, content]) => {
            const file = await fetch(`/repls${location.pathname}/files?path=${path}`);
            return (await file.text()) === content;
        }""",
        [path, content],
    )


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
