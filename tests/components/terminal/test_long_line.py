"""A program that writes one line without an end, as fast as somebody reads it."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect
from websockets.sync.client import connect

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, rows
from tests.components.terminal.screens import ASKING
from tests.components.terminal.serving import Served

MB: Final = 1 << 20
LINE_BYTES: Final = 100 * MB
# More than before, as it is with 8 MB and with 100: 4 for a ring, a record and what is on the way; 16 for 10,000 lines.
SERVER_BYTES: Final = 8 * MB
PAGE_BYTES: Final = 32 * MB
SCROLLBACK_LINES: Final = 10_000
INPUT, OUTPUT = 1, 17
DEADLINE_S: Final = 60


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        page.evaluate(ASKING)
        yield page


@pytest.mark.soak
def test_a_line_without_an_end_fills_neither_server_nor_page(page: Page, served: Served) -> None:
    terminal = page.locator("#terminal").inner_text()
    [server] = [
        one for one in psutil.Process().children() if "tests.components.terminal.terminal_page" in one.cmdline()
    ]
    server_before, page_before = server.memory_info().rss, used_bytes(page)
    most = 0
    enter(page, r"yes | tr -d '\n'")
    while told(served, terminal)["end"] < LINE_BYTES:
        most = max(most, server.memory_info().rss)
        page.wait_for_timeout(20)
    answers(served)
    assert told(served, terminal)["exit"] is None
    assert most - server_before < SERVER_BYTES
    page.keyboard.press("Control+c")
    enter(page, "clear; echo al''ive")
    expect(rows(page)).to_contain_text("alive")
    assert page.evaluate("terminals()[0].term.buffer.active.length") < SCROLLBACK_LINES + 100
    assert used_bytes(page) - page_before < PAGE_BYTES


def told(served: Served, terminal: str) -> dict[str, Any]:
    listed = httpx.get(f"{served.url}/repls/r1/terminals", trust_env=False, timeout=DEADLINE_S).json()["terminals"]
    found: dict[str, Any] = next(one for one in listed if one["id"] == terminal)
    return found


def answers(served: Served) -> None:
    """Another terminal."""
    at = f"{served.url}/repls/r1/terminals"
    other = httpx.post(at, json={}, trust_env=False, timeout=DEADLINE_S).json()["id"]
    with connect(f"{at.replace('http', 'ws')}/{other}?after=0", proxy=None) as socket:
        socket.send(bytes([INPUT]) + b"echo al''so\n")
        said = b""
        while b"also" not in said:
            frame = socket.recv(DEADLINE_S)
            assert isinstance(frame, bytes)
            said += frame[9:] if frame[0] == OUTPUT else b""
    httpx.delete(f"{at}/{other}", trust_env=False).raise_for_status()


def used_bytes(page: Page) -> int:
    """By the page's scripts and what they hold, after what they hold no more is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    usage = session.send("Runtime.getHeapUsage")
    return int(usage["usedSize"] + usage["backingStorageSize"])
