"""A real server with real sandboxes, and a real Chromium in front of it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.e2e.serving import Served, serving

IDLE_STOP_S = 60  # the shortest that the settings allow


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(sign_up="open", idle_stop_s=str(IDLE_STOP_S)) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser nobody used before; an error in a page's scripts fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    context.close()
    assert not problems
