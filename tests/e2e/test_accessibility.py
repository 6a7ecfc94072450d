"""axe-core over every page, in both themes: nothing serious stands between a page and those who cannot see or point."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.chromium import opened
from tests.e2e.serving import ROOT, Served
from tests.e2e.workbench import begin, come_in, name_and_create, run, sign_up, type_into_editor

AXE = ROOT / "components" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
# The preview is the user's own page; xterm.js draws its text twice, once for eyes, once for screen readers.
OUTSIDE = ["iframe[title=Preview]", ".xterm"]

Scheme = Literal["light", "dark"]


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Scheme:
    scheme: Scheme = request.param
    return scheme


@pytest.fixture
def themed(browser: Browser, scheme: Scheme) -> Iterator[Page]:
    size: ViewportSize = {"width": 1280, "height": 800}
    with opened(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce", bypass_csp=True) as page:
        yield page


def problems(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    asked = "exclude => axe.run({exclude}, {iframes: false, resultTypes: ['violations']})"  # no others in full
    found: dict[str, Any] = page.evaluate(asked, OUTSIDE)
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def test_pages_around_the_workbench(themed: Page, served: Served, scheme: Scheme) -> None:
    themed.goto(f"{served.url}/sign-in")
    expect(themed.get_by_label("User name")).to_be_focused()
    themed.keyboard.press("Enter")
    expect(themed.get_by_role("alert")).to_be_visible()
    assert problems(themed) == []
    sign_up(themed, served, f"axe-{scheme}")
    assert problems(themed) == []
    themed.get_by_role("button", name="New REPL").click()
    expect(themed.get_by_label("Name", exact=True)).to_be_visible()
    assert problems(themed) == []
    name_and_create(themed, "Seen")
    themed.goto(served.url)
    expect(themed.get_by_role("article")).to_be_visible()
    themed.get_by_role("button", name="More for Seen").click()
    expect(themed.get_by_role("menuitem", name="Delete")).to_be_visible()
    assert problems(themed) == []
    themed.get_by_role("menuitem", name="Delete").click()
    expect(themed.get_by_role("dialog")).to_be_visible()
    assert problems(themed) == []
    themed.goto(f"{served.url}/account")
    expect(themed.get_by_role("heading", name="Password")).to_be_visible()
    assert problems(themed) == []
    themed.goto(f"{served.url}/nowhere")
    assert problems(themed) == []


def test_the_workbench(themed: Page, served: Served, scheme: Scheme) -> None:
    begin(themed, served, f"axe-wb-{scheme}", "Seen")
    expect(run(themed)).to_contain_text("Exit code 0")
    assert problems(themed) == []
    themed.locator(".dx-lease").click()
    expect(themed.locator(".dx-awake")).to_contain_text("Awake because")
    assert problems(themed) == []
    themed.locator(".dx-awake").get_by_role("button", name="1 h", exact=True).click()  # longer than all this takes
    themed.keyboard.press("Control+Shift+P")
    expect(themed.get_by_role("option").first).to_be_visible()
    assert problems(themed) == []
    themed.keyboard.press("Escape")
    themed.get_by_role("treeitem").first.click(button="right")
    assert problems(themed) == []
    themed.keyboard.press("Escape")
    type_into_editor(themed, "print('another version')")
    themed.locator(".dx-receipt > button").click()
    expect(themed.locator(".dx-receipt-more")).to_be_visible()
    assert problems(themed) == []
    themed.locator(".dx-receipt-more").get_by_role("button", name="Save a version now").click()
    themed.get_by_role("button", name="History", exact=True).click()
    expect(themed.locator(".dx-history-texts .cm-content").last).to_be_visible()
    assert problems(themed) == []
    themed.get_by_role("button", name="Restore everything").click()
    expect(themed.get_by_role("dialog")).to_be_visible()
    assert problems(themed) == []
    themed.get_by_role("button", name="Cancel").click()
    themed.get_by_role("button", name="Close the history").click()
    themed.get_by_role("button", name="More", exact=True).click()
    themed.get_by_role("menuitem", name="Stop this REPL").click()
    expect(themed.get_by_role("heading", name="is stopped")).to_be_visible()
    themed.locator(".dx-shelf").get_by_role("treeitem").first.click()
    expect(themed.locator(".dx-shelf .cm-content")).to_be_visible()
    assert problems(themed) == []


def test_what_is_said_of_files_that_come_back(themed: Page, served: Served, scheme: Scheme) -> None:
    begin(themed, served, f"axe-back-{scheme}", "Back")
    at = "2026-01-31T12:00:00+00:00"
    coming = {"type": "restoring", "path": None, "at": at, "began_at": at, "cut_off": True, "problem": None}
    far = {"files": 4, "of_files": 10, "bytes": 4, "of_bytes": 10}
    for state in ({"done": False}, {"done": False, "problem": "The store is full."}, {"done": True}):
        themed.evaluate(
            "told => window.dispatchEvent(new CustomEvent('devex:repl', {detail: told}))", coming | far | state
        )
        expect(themed.locator(".dx-restoring-line")).to_be_visible()
        assert problems(themed) == []


def test_the_administration(themed: Page, administrator: str, served: Served) -> None:
    themed.goto(f"{served.url}/sign-in")
    come_in(themed, administrator)
    themed.goto(f"{served.url}/admin")
    expect(themed.get_by_text("Looking…")).to_be_hidden()
    assert problems(themed) == []


@pytest.fixture(scope="module")
def administrator(browser: Browser, served: Served) -> str:
    """The first account, made with the link that the server printed."""
    with opened(browser) as page:
        page.goto(served.setup_url)
        come_in(page, "root")
    return "root"
