"""By keyboard alone: every control is reached and seen to be reached, and what is closed gives the focus back."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, editor, sign_up, terminal
from tests.getting_around import said

MOST_TABS = 60
FOCUSED = """() => {
    const at = document.activeElement, style = getComputedStyle(at);
    const isSeen = style.outlineStyle !== "none" || at.matches("[role=separator], .cm-content, .xterm-helper-textarea");
    return [at.getAttribute("aria-label") || at.textContent.trim() || at.tagName, isSeen];
}"""


def tabbed(page: Page) -> dict[str, bool]:
    """What Tab comes to, from the start of the page to its end, and whether one sees it."""
    reached: dict[str, bool] = {}
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUSED)
        if name in reached or page.evaluate("document.activeElement === document.body"):
            break
        reached[name] = is_seen
        if page.evaluate("document.activeElement.matches('.cm-content')"):
            page.keyboard.press("Escape")  # Tab indents; after Escape it leaves
    return reached


def test_a_repl_is_made_without_a_mouse(page: Page, served: Served) -> None:
    sign_up(page, served, "hands")
    reached = tabbed(page)
    assert {"Your REPLs", "Account of hands", "New REPL"} <= set(reached)
    assert all(reached.values()), reached
    button = page.get_by_role("button", name="New REPL")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="New REPL")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="New REPL")).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("radio", name="Python")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Blank")).to_be_checked()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Python")).to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_visible()


def test_everything_in_the_workbench_is_reached(page: Page, served: Served) -> None:
    begin(page, served, "tabber", "Reach")
    page.get_by_role("link", name="Your REPLs").focus()
    reached = tabbed(page)
    wanted = {"Run", "Files (Ctrl+B)", "Preview", "Light or dark", "More", "New file", "Files", "Width of the files"}
    assert wanted <= set(reached), reached
    assert all(reached.values()), reached


def test_commands_go_everywhere_and_the_focus_comes_back(page: Page, served: Served) -> None:
    begin(page, served, "palette", "Focus")
    editor(page).click()
    page.keyboard.press("Control+Shift+P")
    expect(page.get_by_role("combobox", name="Commands")).to_be_focused()
    page.keyboard.press("Escape")
    expect(editor(page)).to_be_focused()
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type("gotothefiles")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tree")).to_be_focused()
    page.keyboard.press("Control+`")
    page.keyboard.type("echo in-the-terminal-$((1+1))\n")
    expect(terminal(page)).to_contain_text("in-the-terminal-2")
    page.keyboard.press("Control+Shift+F")
    expect(page.get_by_label("Find in terminal")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type("gototheeditor")
    page.keyboard.press("Enter")
    expect(editor(page)).to_be_focused()
    with said(page, "Saved"):
        page.keyboard.press("Control+s")
    more = page.get_by_role("button", name="More", exact=True)
    more.press("Enter")
    expect(page.get_by_role("menuitem", name="All commands")).to_be_visible()
    page.keyboard.press("Control+Shift+P")  # over an open menu, which wants the focus too
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox", name="Commands")).to_have_count(0)
