"""A browser in front of REPLs that save versions, each test's its own."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import at_home, browser
from tests.components.history.serving import Served, serving
from tests.components.serving import serving as serving_pages

__all__ = ["browser"]  # a fixture of the tests


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Its address, and the folder of its REPLs."""
    folder = tmp_path_factory.mktemp("history")
    with serving_pages("tests.components.history.history_page", folder) as url:
        yield url, folder


@pytest.fixture
def served(server: tuple[str, Path]) -> Iterator[Served]:
    with serving(*server, secrets.token_hex(4)) as served:
        yield served


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """Gone before its REPL is."""
    with at_home(browser, width=1280, height=800) as page:
        yield page
