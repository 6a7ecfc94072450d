"""What a page is told of output that it missed."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from runner.protocol.ring import RING_BYTES
from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, eventually, rows
from tests.components.terminal.serving import Served

FLOOD_BYTES = 3_000_000


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page:
        yield page


def test_a_mark_says_how_many_bytes_have_left_the_ring(page: Page, served: Served) -> None:
    is_away = False
    dialled: list[WebSocketRoute] = []

    def answer(socket: WebSocketRoute) -> None:
        if is_away:
            socket.close()
        else:
            dialled.append(socket)
            socket.connect_to_server()

    page.route_web_socket(re.compile("/terminals/"), answer)
    with at_prompt(page, served):
        enter(page, "clear; until [ -e go ]; do sleep 0.05; done; yes o | tr '\\n' '\\r' | head -c 3000000; read rest")
        expect(rows(page)).not_to_contain_text("$")
        before = _end(page, served)
        is_away = True
        dialled[-1].close()
        expect(page.locator(".dx-terminal[data-state=reconnecting]")).to_be_attached()
        (served.workspace / "go").touch()
        eventually(page, lambda: _end(page, served) >= before + FLOOD_BYTES)
        is_away = False
        expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
        lost = FLOOD_BYTES - RING_BYTES
        expect(rows(page)).to_contain_text(f"… {lost:,} bytes of output are missing here …")


def _end(page: Page, served: Served) -> int:
    """How many bytes the terminal that is shown has written."""
    terminal = page.locator("#terminal").inner_text()
    listed = httpx.get(f"{served.url}/repls/r1/terminals", trust_env=False).json()["terminals"]
    return next(int(one["end"]) for one in listed if one["id"] == terminal)
