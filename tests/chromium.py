"""The Chromium of the tests and the bench: where it is, how it is started, and pages whose scripts may not fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from playwright.async_api import expect as expect_async
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.folders import shared

CHROMIUM: Final = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP plain.test 127.0.0.1",
)
PLAIN_HOST: Final = "plain.test"  # over http, to the browser, this is no secure context, as loopback would be

PATIENCE_MS: Final = 60_000  # several browsers and their servers may share two busy cores
expect.set_options(timeout=PATIENCE_MS)
expect_async.set_options(timeout=PATIENCE_MS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Its first context is that of a profile on the disk, where Chromium keeps what it has fetched and compiled."""
    with sync_playwright() as playwright, TemporaryDirectory(prefix="devex-chromium-") as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS)
        )
        assert context.browser
        yield context.browser
        context.close()


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Browser:
    return shared(request, chromium)


@contextmanager
def opened(browser: Browser, **context: Any) -> Iterator[Page]:
    """A page in a context of its own (`context` as in Browser.new_context); an error in its scripts fails the test."""
    fresh = browser.new_context(**context)
    with _faultless(fresh) as page:
        yield page
    fresh.close()


@contextmanager
def at_home(browser: Browser, *, width: int, height: int) -> Iterator[Page]:
    """As `opened`, in the browser's first context, one at a time: nobody was there before, but for what is cached of
    scripts, which take half of a page's time.
    """
    home = browser.contexts[0]
    try:
        with _faultless(home) as page:
            page.set_viewport_size({"width": width, "height": height})
            yield page
    finally:
        blank, *used = home.pages
        for page in used:
            page.close()
        home.set_offline(False)
        home.clear_permissions()
        home.new_cdp_session(blank).send("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"})


@contextmanager
def _faultless(context: BrowserContext) -> Iterator[Page]:
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert not problems
