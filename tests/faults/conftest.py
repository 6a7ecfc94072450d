"""One server for the folder, two people who use it, and for each test a REPL whose files must outlive the test."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.e2e.serving import Served, serving
from tests.faults.browser import Browser, Repl

PASSWORD = "correct horse battery"
DISK_MIB = 160  # a file of 100 MB fits, and is soon too much
KEPT = "what was there before\n"


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving(sign_up="open", disk_mib=str(DISK_MIB), pids="64", max_repls="500") as server:
        yield server


def signed_up(served: Served, name: str) -> str:
    """-> the cookie of the new session."""
    answer = httpx.post(
        f"{served.url}/api/users",
        json={"name": name, "password": PASSWORD},
        headers={"Origin": served.url},
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return f"devex_session={answer.cookies['devex_session']}"


@pytest.fixture(scope="session")
def cookies(served: Served) -> dict[str, str]:
    return {name: signed_up(served, name) for name in ("ada", "bob")}


@pytest.fixture
async def ada(served: Served, cookies: dict[str, str]) -> AsyncIterator[Browser]:
    """Afterwards the server must still serve her."""
    browser = Browser(served.url, cookies["ada"])
    async with browser.http:
        yield browser
        assert (await browser.http.get("/healthz")).json() == {"status": "ok"}
        assert (await browser.http.get("/api/session")).json()["name"] == "ada"


@pytest.fixture
async def bob(served: Served, cookies: dict[str, str]) -> AsyncIterator[Browser]:
    browser = Browser(served.url, cookies["bob"])
    async with browser.http:
        yield browser


@pytest.fixture
async def repl(ada: Browser) -> AsyncIterator[Repl]:
    """Running, with one file; whatever the test does, that file must be there in the end."""
    made = await ada.create()
    assert (await made.put("files/kept.txt", KEPT)).status_code == 201
    yield made
    assert await made.text("kept.txt") == KEPT
    for purge in ("false", "true"):
        assert (await ada.http.delete(f"/api/repls/{made.id}?purge={purge}")).status_code == 200
