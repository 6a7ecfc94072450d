"""A browser in front of a REPL that saves versions."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.chromium import browser, opened
from tests.components.history.serving import Served, serving

__all__ = ["browser"]  # a fixture of the tests


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        yield page
