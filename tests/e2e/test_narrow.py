"""400 pixels, by touch: everything is in reach, whatever the REPL is called."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.chromium import opened
from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, begin, create, sign_up, terminal
from tests.getting_around import said

WIDTH = 400


@pytest.fixture
def narrow(browser: Browser) -> Iterator[Page]:
    with opened(browser, viewport={"width": WIDTH, "height": 800}, has_touch=True) as page:
        yield page


def is_in_reach(control: Locator) -> bool:
    box = control.bounding_box()
    return box is not None and box["x"] >= 0 and box["x"] + box["width"] <= WIDTH


def test_the_connection_is_diagnosed_without_signing_in(narrow: Page, served: Served) -> None:
    narrow.goto(f"{served.url}/diagnose")
    expect(narrow.locator("#verdict")).to_have_attribute("data-state", "ok")
    for control in narrow.get_by_role("button").all():
        assert is_in_reach(control), control
    assert narrow.evaluate("document.documentElement.scrollWidth") == WIDTH


def test_a_long_name_pushes_nothing_out_of_reach(narrow: Page, served: Served) -> None:
    sign_up(narrow, served, "thumb")
    narrow.get_by_role("button", name="New REPL").tap()
    expect(narrow.get_by_label("Name", exact=True)).to_be_visible()
    assert is_in_reach(narrow.get_by_role("button", name="Create", exact=True))
    narrow.keyboard.press("Escape")
    create(narrow, "Python", "A name so long that no narrow screen has room for it")
    for control in narrow.locator("header button:visible, footer button:visible, nav [role=tab]").all():
        assert is_in_reach(control), control
    assert narrow.evaluate("document.documentElement.scrollWidth") == WIDTH


def test_a_stopped_repl_shows_its_files_first(narrow: Page, served: Served) -> None:
    begin(narrow, served, "pocket", "Asleep")
    narrow.get_by_role("tab", name="Terminal", exact=True).tap()
    narrow.locator(".dx-tabpanel:not(.dx-behind) .xterm-helper-textarea").focus()
    narrow.keyboard.type("seq 60\n")
    expect(terminal(narrow)).to_contain_text("60")
    narrow.get_by_role("button", name="More", exact=True).tap()
    narrow.get_by_role("menuitem", name="Stop this REPL").tap()
    file = narrow.locator(".dx-shelf").get_by_role("treeitem", name="main.py")
    expect(file).to_be_visible()
    narrow.goto(f"{narrow.url}?start=false")
    narrow.get_by_role("tab", name="Terminal", exact=True).tap()
    expect(narrow.locator(".dx-recorded-screen:visible .xterm-rows")).to_contain_text("$")
    expect(file).to_be_hidden()
    for control in narrow.locator(".dx-shelf button:visible").all():
        assert is_in_reach(control), control
    narrow.get_by_role("tab", name="Files", exact=True).tap()
    file.tap()
    expect(narrow.locator(".dx-shelf .cm-content")).to_be_visible()
    expect(file).to_be_hidden()
    narrow.set_viewport_size({"width": 1280, "height": 800})  # less room for the terminal than it had
    narrow.goto(narrow.url)
    narrow.get_by_role("tab", name="Shell 1").click()
    expect(narrow.locator(".dx-recorded-screen:visible .xterm-rows > div", has_text="60")).to_be_in_viewport()


def test_the_history_is_read_step_by_step(narrow: Page, served: Served) -> None:
    arrive(narrow, served, "toe", "Steps")
    narrow.locator(".dx-receipt > button").tap()
    with said(narrow, "A version is saved."):
        narrow.get_by_role("button", name="Save a version now").tap()
    narrow.get_by_role("button", name="More", exact=True).tap()
    narrow.get_by_role("menuitem", name="History").tap()
    versions = narrow.get_by_role("listbox", name="Versions")
    versions.get_by_role("option").first.tap()
    expect(versions).to_be_hidden()
    narrow.get_by_role("option", name="main.py").tap()
    expect(narrow.locator(".dx-history-texts .cm-content")).to_have_count(1)  # no room for two
    for control in narrow.locator(".dx-history :is(button, a):visible").all():
        assert is_in_reach(control), control
    assert narrow.evaluate("document.documentElement.scrollWidth") == WIDTH
    narrow.get_by_role("button", name="Back").tap()
    narrow.get_by_role("button", name="Back").tap()
    expect(versions).to_be_visible()
    narrow.get_by_role("tab", name="Files", exact=True).tap()
    expect(versions).to_be_hidden()
    expect(narrow.get_by_role("tree")).to_be_visible()


def test_a_touch_opens_the_menu_of_a_file(narrow: Page, served: Served) -> None:
    arrive(narrow, served, "finger", "Touched")
    narrow.get_by_role("tab", name="Files", exact=True).tap()
    narrow.get_by_role("treeitem", name="requirements.txt").tap()
    narrow.get_by_role("tab", name="Files", exact=True).tap()
    narrow.get_by_role("button", name="More for requirements.txt").tap()
    expect(narrow.get_by_role("menuitem", name="Delete")).to_be_visible()
    for item in narrow.get_by_role("menuitem").all():
        assert is_in_reach(item)
    narrow.get_by_role("menuitem", name="Delete").tap()
    narrow.get_by_role("button", name="Delete", exact=True).tap()
    expect(narrow.get_by_role("treeitem", name="requirements.txt")).to_have_count(0)


def test_a_new_terminal_comes_to_the_front(narrow: Page, served: Served) -> None:
    arrive(narrow, served, "palm", "Terminals")
    narrow.get_by_role("button", name="More", exact=True).tap()
    narrow.get_by_role("menuitem", name="All commands").tap()
    narrow.get_by_role("option", name="New terminal").tap()
    expect(narrow.get_by_role("tab", name="Shell 2")).to_be_visible()
    expect(narrow.get_by_role("tab", name="Terminal", exact=True)).to_have_attribute("aria-selected", "true")


def test_the_view_changes_without_the_server_too(narrow: Page, served: Served) -> None:
    arrive(narrow, served, "tunnel-thumb", "Offline")
    narrow.context.set_offline(True)
    expect(narrow.get_by_text("Connecting…")).to_be_visible()
    narrow.get_by_role("tab", name="Files", exact=True).tap()
    expect(narrow.get_by_role("tree")).to_be_visible()
    expect(narrow.get_by_role("tab", name="Files", exact=True)).to_have_attribute("aria-selected", "true")
    narrow.get_by_role("tab", name="Editor", exact=True).tap()
    expect(narrow.get_by_role("tree")).to_be_hidden()
