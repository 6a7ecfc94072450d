"""axe-core over every page, in both themes: nothing serious stands between a page and those who cannot see or point."""

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.serving import ROOT, Served, new_setup_url
from tests.e2e.workbench import begin, come_in, name_and_create, run, sign_up, type_into_editor

AXE = ROOT / "components" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")
# The preview is the user's own page; xterm.js draws its text twice, once for eyes, once for screen readers.
OUTSIDE = ["iframe[title=Preview]", ".xterm"]

RULES_OF_COLOURS = ["color-contrast", "link-in-text-block"]  # that are on
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(20, 23, 29)"


@pytest.fixture
def seen(page: Page) -> Page:
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return page


def problems(page: Page) -> list[str]:
    """In both themes, of which the second one can only be amiss in its colours."""
    page.evaluate(AXE.read_text())
    found = _violations(page, {})
    page.emulate_media(color_scheme="dark")
    expect(page.locator("body")).to_have_css("background-color", DARK)
    found += _violations(page, {"runOnly": {"type": "rule", "values": RULES_OF_COLOURS}})
    page.emulate_media(color_scheme="light")
    expect(page.locator("body")).to_have_css("background-color", LIGHT)
    return found


def _violations(page: Page, options: dict[str, Any]) -> list[str]:
    asked = """([exclude, options]) =>
        axe.run({exclude}, {iframes: false, resultTypes: ['violations'], ...options})"""  # no others in full
    found: dict[str, Any] = page.evaluate(asked, [OUTSIDE, options])
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def test_pages_around_the_workbench(seen: Page, served: Served) -> None:
    seen.goto(f"{served.url}/sign-in")
    expect(seen.get_by_label("User name")).to_be_focused()
    seen.keyboard.press("Enter")
    expect(seen.get_by_role("alert")).to_be_visible()
    assert problems(seen) == []
    seen.goto(f"{served.url}/diagnose")
    expect(seen.locator("#verdict")).to_have_attribute("data-state", "ok")
    assert problems(seen) == []
    sign_up(seen, served, "axe")
    assert problems(seen) == []
    seen.get_by_role("button", name="New REPL").click()
    expect(seen.get_by_label("Name", exact=True)).to_be_visible()
    assert problems(seen) == []
    name_and_create(seen, "Seen")
    seen.goto(served.url)
    expect(seen.get_by_role("article")).to_be_visible()
    seen.get_by_role("button", name="More for Seen").click()
    expect(seen.get_by_role("menuitem", name="Delete")).to_be_visible()
    assert problems(seen) == []
    seen.get_by_role("menuitem", name="Delete").click()
    expect(seen.get_by_role("dialog")).to_be_visible()
    assert problems(seen) == []
    seen.goto(f"{served.url}/account")
    expect(seen.get_by_role("heading", name="Password")).to_be_visible()
    assert problems(seen) == []
    seen.goto(f"{served.url}/nowhere")
    assert problems(seen) == []


def test_the_workbench(seen: Page, served: Served) -> None:
    begin(seen, served, "axe-wb", "Seen")
    expect(run(seen)).to_contain_text("Exit code 0")
    assert problems(seen) == []
    seen.get_by_role("button", name="All runs").click()
    seen.locator(".dx-runs-row").click()
    expect(seen.locator(".dx-recorded-screen .xterm-rows")).not_to_be_empty()
    assert problems(seen) == []
    seen.locator(".dx-lease").click()
    expect(seen.locator(".dx-awake")).to_contain_text("Awake because")
    assert problems(seen) == []
    seen.locator(".dx-awake").get_by_role("button", name="1 h", exact=True).click()  # longer than all this takes
    seen.get_by_role("button", name="Share", exact=True).click()
    expect(seen.get_by_label("User name")).to_be_focused()
    assert problems(seen) == []
    seen.get_by_role("button", name="Done").click()
    seen.keyboard.press("Control+Shift+P")
    expect(seen.get_by_role("option").first).to_be_visible()
    assert problems(seen) == []
    seen.keyboard.press("Escape")
    seen.get_by_role("treeitem").first.click(button="right")
    assert problems(seen) == []
    seen.keyboard.press("Escape")
    type_into_editor(seen, "print('another version')")
    seen.locator(".dx-receipt > button").click()
    expect(seen.locator(".dx-receipt-more")).to_be_visible()
    assert problems(seen) == []
    seen.locator(".dx-receipt-more").get_by_role("button", name="Save a version now").click()
    seen.get_by_role("button", name="History", exact=True).click()
    expect(seen.locator(".dx-history-texts .cm-content").last).to_be_visible()
    assert problems(seen) == []
    seen.get_by_role("button", name="Restore everything").click()
    expect(seen.get_by_role("dialog")).to_be_visible()
    assert problems(seen) == []
    seen.get_by_role("button", name="Cancel").click()
    seen.get_by_role("button", name="Close the history").click()
    seen.get_by_role("button", name="More", exact=True).click()
    seen.get_by_role("menuitem", name="Stop this REPL").click()
    expect(seen.get_by_role("heading", name="is stopped")).to_be_visible()
    seen.locator(".dx-shelf").get_by_role("treeitem").first.click()
    expect(seen.locator(".dx-shelf .cm-content")).to_be_visible()
    assert problems(seen) == []


def test_what_is_said_of_files_that_come_back(seen: Page, served: Served) -> None:
    begin(seen, served, "axe-back", "Back")
    at = "2026-01-31T12:00:00+00:00"
    coming = {"type": "restoring", "path": None, "at": at, "began_at": at, "cut_off": True, "problem": None}
    far = {"files": 4, "of_files": 10, "bytes": 4, "of_bytes": 10}
    for state in ({"done": False}, {"done": False, "problem": "The store is full."}, {"done": True}):
        seen.evaluate(
            "told => window.dispatchEvent(new CustomEvent('devex:repl', {detail: told}))", coming | far | state
        )
        expect(seen.locator(".dx-restoring-line")).to_be_visible()
        assert problems(seen) == []


def test_the_administration(seen: Page, served: Served) -> None:
    seen.goto(new_setup_url(served))
    come_in(seen, "axe-root")
    seen.goto(f"{served.url}/admin")
    expect(seen.get_by_text("Looking…")).to_be_hidden()
    assert problems(seen) == []
