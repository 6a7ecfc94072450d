"""A browser in front of a server that shows the elements."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home, browser
from tests.components.serving import serving

__all__ = ["browser"]  # a fixture of the tests below


@dataclass(frozen=True)
class Served:
    """A page's address and the workspace that it shows."""

    url: str
    workspace: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    workspace = tmp_path_factory.mktemp("repl") / "workspace"
    workspace.mkdir()
    with serving("tests.components.serve", workspace) as url:
        yield Served(url, workspace)


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """The page, connected; a script error in it fails the test."""
    with at_home(browser, width=1000, height=700) as page:
        page.goto(served.url)
        expect(page.locator("body[data-online]")).to_be_attached()
        yield page
