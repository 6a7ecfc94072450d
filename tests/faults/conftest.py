"""What goes wrong at the edge: each item through HTTP and WebSocket, on a real server with real sandboxes.

Every item ends in a sentence and an action, loses nothing (each test's REPL has a file that must be there afterwards)
and leaves the server serving. In brackets, modules elsewhere that try it closer to the code.

| item                  | HTTP and command line              | WebSocket                                              |
|-----------------------|------------------------------------|--------------------------------------------------------|
| names                 | test_bad_names                     | documents, terminals; (test_names, test_strange_texts) |
| double submits        | test_at_once (test_service)        | an update sent twice                                   |
| two tabs              | test_at_once: If-Match             | documents, terminals (test_edits)                      |
| two users             | test_at_once (test_routes)         | every socket is refused (test_door)                    |
| a 100 MB file         | test_bad_content (test_uploads)    | too large to edit                                      |
| a binary file         | test_bad_content                   | no text to edit; shown in a terminal                   |
| a 1 MB line           | test_bad_content                   | edited, typed and shown                                |
| what is no request    | test_bad_content: 400 413 415 422  | 1007, 1009                                             |
| SIGTERM is ignored    | test_bad_programs (test_runs)      | the terminal says how it ended                         |
| fork bombs            | test_bad_programs (test_walls)     | typed into a terminal                                  |
| a missing interpreter | test_bad_programs (test_templates) | exit status 127                                        |
| a taken port          | test_bad_programs (test_start)     | exit status 1; the preview's socket is refused         |
| no sandbox possible   | test_no_sandbox (test_parts)       | refused like the socket of what is stopped             |
| a killed sandbox      | test_bad_programs (test_launcher)  | all that is open closes, what was typed is saved       |
| a full disk           | test_disk_full (test_workspace)    | what is typed is kept, told, and saved later           |
| a corrupt database    | test_bad_database (test_start)     | terminals go on, handshakes are refused                |
| a read-only database  | test_bad_database (test_start)     | no server, no socket                                   |
| a locked database     | test_bad_database: passwords, gone | no server, no socket                                   |
"""

import shutil
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from orchestrator.backends.environment import SYSTEM_PATH
from tests.e2e.serving import Served, serving
from tests.faults.browser import DEADLINE_S, Browser, Json, Repl, browsing
from tests.faults.content import DISK_MIB, KEPT, POOR_DISK_MIB
from tests.faults.server import mounted, signed_up


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    with serving(sign_up="open", disk_mib=str(DISK_MIB), pids="64", max_repls="500") as server:
        yield server


@pytest.fixture(scope="session")
def poor() -> Iterator[Served]:
    """A server on a machine with a small disk and without Node.js."""
    disk = f'mkdir "$DEVEX_DATA_DIR"; mount -t tmpfs -o size={POOR_DISK_MIB}m tmpfs "$DEVEX_DATA_DIR"'
    node = f"mount --bind /dev/null {shutil.which('node', path=SYSTEM_PATH)}"
    with serving(within=mounted(f"{disk}; {node}"), sign_up="open") as server:
        yield server


@pytest.fixture(scope="session")
def cookies(served: Served) -> dict[str, str]:
    return {name: signed_up(served, name) for name in ("ada", "bob")}


@pytest.fixture
async def ada(served: Served, cookies: dict[str, str]) -> AsyncIterator[Browser]:
    """Afterwards the server must still know her."""
    async with browsing(served.url, cookies["ada"]) as browser:
        yield browser
        assert (await browser.http.get("/api/session")).json()["name"] == "ada"


@pytest.fixture
async def bob(served: Served, cookies: dict[str, str]) -> AsyncIterator[Browser]:
    async with browsing(served.url, cookies["bob"]) as browser:
        yield browser


@pytest.fixture(scope="session")
def eves_cookie(poor: Served) -> str:
    return signed_up(poor, "eve")


@pytest.fixture
async def eve(poor: Served, eves_cookie: str) -> AsyncIterator[Browser]:
    """She uses the poor machine."""
    async with browsing(poor.url, eves_cookie) as browser:
        yield browser


@pytest.fixture(scope="session")
def shared(served: Served, cookies: dict[str, str]) -> Json:
    """A REPL for tests that are refused, or clean up: making one for each would take most of the time."""
    headers = {"Origin": served.url, "Cookie": cookies["ada"]}
    with httpx.Client(base_url=served.url, headers=headers, timeout=DEADLINE_S, trust_env=False) as browser:
        made = browser.post("/api/repls", json={"name": "REPL", "template": "bash"}).json()
        browser.post(f"/api/repls/{made['id']}/start?wait=true")
        assert browser.put(f"/repls/{made['id']}/files/kept.txt", content=KEPT).status_code == 201
    return dict(made)


@pytest.fixture
async def shared_repl(ada: Browser, shared: Json) -> AsyncIterator[Repl]:
    repl = Repl(ada, shared)
    await repl.start()  # a test before may have ended every sandbox
    yield repl
    assert await repl.text("kept.txt") == KEPT


@pytest.fixture
async def repl(ada: Browser) -> AsyncIterator[Repl]:
    """Running, with one file; whatever the test does, that file must be there in the end."""
    made = await ada.create()
    assert (await made.put("files/kept.txt", KEPT)).status_code == 201
    yield made
    assert await made.text("kept.txt") == KEPT
    for purge in ("false", "true"):
        assert (await ada.http.delete(f"/api/repls/{made.id}?purge={purge}")).status_code == 200
