"""A real server with real sandboxes, and a real Chromium in front of it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Page

from tests import given
from tests.chromium import at_home, browser
from tests.e2e.serving import Served, serving
from tests.folders import shared

__all__ = ["browser"]  # a fixture of the tests below

IDLE_STOP_S = 60  # the shortest that the settings allow


def serving_everybody() -> AbstractContextManager[Served]:
    return serving(sign_up="open", idle_stop_s=str(IDLE_STOP_S))


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The tests of all modules are its users, each by a name of its own; on a cluster that is given those of one: its
    namespace is one server's, and the next module may start another.
    """
    if given.settings():
        with serving_everybody() as server:
            yield server
    else:
        yield shared(request, serving_everybody)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A browser nobody used before; an error in a page's scripts fails the test."""
    with at_home(browser, width=1280, height=800) as page:
        yield page
