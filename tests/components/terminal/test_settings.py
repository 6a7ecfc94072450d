"""What a user sets for the terminals of a browser, and the way out of one by keyboard."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home, opened
from tests.components.serving import ROOT
from tests.components.terminal.at_terminal import at_prompt, choose, enter, focus, rows
from tests.components.terminal.serving import Served


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        yield page


def test_the_size_of_the_font_is_kept(page: Page) -> None:
    row = page.locator(".xterm-rows > div").first
    for key in ("Control++", "Control+=", "Control+-", "Control++"):
        page.keyboard.press(key)
    expect(rows(page)).to_have_css("font-size", "15px")
    page.reload()
    expect(rows(page)).to_have_css("font-size", "15px")
    expect(row).to_be_attached()
    focus(page)
    page.keyboard.press("Control+0")
    expect(rows(page)).to_have_css("font-size", "13px")


def test_a_box_has_all_settings_for_every_terminal(page: Page) -> None:
    other = page.context.new_page()
    other.goto(f"{page.url}?terminal={page.locator('#terminal').inner_text()}")
    expect(rows(other)).to_contain_text("$")
    choose(page, "$", "Settings")
    box = page.get_by_role("dialog", name="Terminal settings")
    box.get_by_role("button", name="Larger").press("Enter")
    box.get_by_label("Scrollback").select_option("1,000 lines")
    box.get_by_label("Read out by a screen reader").check()
    page.evaluate(AXE.read_text())
    assert page.evaluate(PROBLEMS) == []
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)
    enter(page, "echo re''ad; seq 3000; echo do''ne")
    for one in (page, other):
        expect(rows(one)).to_have_css("font-size", "14px")
        expect(one.locator(".xterm-accessibility-tree")).to_contain_text("done")
        assert "read" not in all_text(one)


AXE = ROOT / "components" / "node_modules" / "axe-core" / "axe.min.js"
PROBLEMS = """() => axe.run("dialog, .dx-terminal-screen", { iframes: false })
    .then(({ violations }) => violations.map(({ id }) => id))"""
ALL_TEXT = """() => {
    const { term } = getElement(Number(document.querySelector(".dx-terminal").id.slice(1)));
    const { active } = term.buffer;
    return Array.from({ length: active.length }, (_, at) => active.getLine(at).translateToString(true)).join("\\n");
}"""
NO_STORAGE = """
    delete Window.prototype.localStorage;
    Object.defineProperty(window, "localStorage", { get() { throw new DOMException("no", "SecurityError"); } });
"""


def all_text(page: Page) -> str:
    """What the terminal has, scrolled out or not."""
    return str(page.evaluate(ALL_TEXT))


def test_where_storage_is_forbidden_the_settings_hold_for_the_page(browser: Browser, served: Served) -> None:
    with opened(browser) as page:
        page.add_init_script(NO_STORAGE)
        with at_prompt(page, served):
            page.keyboard.press("Control++")
            expect(rows(page)).to_have_css("font-size", "14px")


def test_the_keyboard_gets_out(page: Page) -> None:
    expect(page.get_by_role("textbox", name="Terminal input")).to_have_attribute(
        "aria-description", "Ctrl+` leaves the terminal."
    )
    page.keyboard.press("Tab")
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()
    page.keyboard.press("Control+`")
    expect(page.locator(".xterm-helper-textarea")).not_to_be_focused()


def test_cleared_is_all_but_the_prompt(page: Page) -> None:
    enter(page, "seq 500; echo la''st")
    expect(rows(page)).to_contain_text("last")
    page.keyboard.type("echo ke''pt")
    expect(rows(page)).to_contain_text("echo ke''pt")
    page.keyboard.press("Control+Shift+K")
    expect(rows(page)).not_to_contain_text("last")
    page.keyboard.press("Enter")
    expect(rows(page)).to_contain_text("kept")
    assert "500" not in all_text(page)


def test_search_counts_what_it_finds(page: Page) -> None:
    enter(page, "seq -f 'Line %g' 300; echo line-e''nd")
    expect(rows(page)).to_contain_text("line-end")
    page.keyboard.press("Control+Shift+F")
    page.keyboard.type("Line 29")
    found = page.locator(".dx-terminal-found")
    expect(found).to_have_text("11 of 11")
    page.keyboard.press("Enter")
    expect(found).to_have_text("1 of 11")
    page.keyboard.press("Shift+Enter")
    expect(found).to_have_text("11 of 11")
    page.keyboard.press("Alt+c")
    page.get_by_label("Find in terminal").fill("line")
    expect(found).to_have_text("2 of 2")
    page.keyboard.press("Alt+r")
    page.get_by_label("Find in terminal").fill("^Line \\d0$")
    expect(found).to_contain_text("of 9")
    page.get_by_label("Find in terminal").fill("(")
    expect(found).to_have_text("No regular expression")
