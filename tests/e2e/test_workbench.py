"""The workbench in use: keys, terminals, files, stop and start."""

import json
import re

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, begin, editor, terminal, type_into_editor


def styled_while_a_terminal_prints(page: Page) -> list[int]:
    """Of how many elements the style was looked up, each time."""
    browser = page.context.browser
    assert browser
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    try:
        page.keyboard.type("seq 200000; echo do''ne\n")
        expect(terminal(page)).to_contain_text("done")
    finally:
        traced = browser.stop_tracing()
    events = json.loads(traced)["traceEvents"]
    return [one["args"]["elementCount"] for one in events if one["name"] == "UpdateLayoutTree" and one["ph"] == "X"]


def test_keys_work_from_editor_and_terminal(page: Page, served: Served) -> None:
    begin(page, served, "keys", "Keys")
    type_into_editor(page, "print('as', 'typed')\n")
    page.keyboard.press("Control+Enter")
    expect(terminal(page)).to_contain_text("as typed")
    expect(page.locator(".dx-output-line")).to_contain_text("Exit code 0")
    page.keyboard.press("Control+`")
    page.keyboard.type("echo first-$((1+1))\n")
    expect(terminal(page)).to_contain_text("first-2")
    page.keyboard.type("printf '\\e[?1049h'; cat -v\n")
    expect(terminal(page)).not_to_contain_text("first-2")
    page.keyboard.press("Control+b")
    page.keyboard.press("Control+p")
    expect(terminal(page)).to_contain_text("^B^P")  # a full-screen program's own keys
    page.keyboard.press("Control+c")
    expect(terminal(page)).to_contain_text("$")  # what is typed before the shell is back is thrown away
    page.keyboard.type("printf '\\e[?1049l'\n")
    expect(terminal(page)).to_contain_text("first-2")
    styled = styled_while_a_terminal_prints(page)
    assert len(styled) > 10
    many = page.locator("*").count() / 2
    assert sum(count > many for count in styled) < len(styled) / 10, "one selector with :has() is enough for that"
    expect(page.get_by_role("tree")).to_be_visible()
    page.keyboard.press("Control+b")
    expect(page.get_by_role("tree")).to_be_hidden()
    page.keyboard.press("Control+b")
    expect(page.get_by_role("tree")).to_be_visible()
    page.keyboard.press("Control+p")
    page.keyboard.type("requi")
    expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="requirements.txt")).to_have_attribute("aria-selected", "true")


def test_the_theme_is_chosen_and_kept(page: Page, served: Served) -> None:
    page.emulate_media(color_scheme="light")
    begin(page, served, "owl", "Night")
    light = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
    page.get_by_role("button", name="Light or dark").click()
    for _ in range(2):
        expect(page.locator("body")).to_have_css("background-color", "rgb(20, 23, 29)")
        expect(editor(page)).to_be_visible()
        page.reload()
    assert list((served.data_dir / "pages").iterdir())  # and nowhere else
    page.get_by_role("button", name="Light or dark").click()
    expect(page.locator("body")).to_have_css("background-color", light)


def test_a_page_comes_whole_and_with_all_it_imports(page: Page, served: Served) -> None:
    """What is only told over the page's socket, or only found in another script, costs a round trip each."""
    arrive(page, served, "whole", "Whole")
    html = page.request.get(page.url).text()
    assert "devex_terminal" in html
    assert "devex_editor" in html
    preloaded = set(re.findall(r'<link rel="modulepreload" href="([^"]+)"', html))
    expect(terminal(page)).to_contain_text("$")
    loaded = page.evaluate("() => performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)")
    scripts = {path for path in loaded if re.search(r"/(esm|components)/\w+/\w+\.js$", path)}  # no languages
    assert scripts
    assert scripts <= preloaded
    assert any("/chunks/" in path for path in preloaded)


def test_terminals_are_opened_and_closed_and_found_again(page: Page, served: Served) -> None:
    begin(page, served, "tabs", "Tabs")
    page.get_by_role("button", name="New terminal").click()
    expect(page.get_by_role("tab", name=re.compile("Shell"))).to_have_count(2)
    expect(terminal(page)).to_contain_text("$")
    page.keyboard.type("echo second-$((1+1))\n")
    expect(terminal(page)).to_contain_text("second-2")
    page.reload()
    expect(page.get_by_role("tab", name=re.compile("Shell"))).to_have_count(2)
    expect(terminal(page)).to_contain_text("second-2")
    page.get_by_role("button", name=re.compile("Close Shell")).last.click()
    expect(page.get_by_role("tab", name=re.compile("Shell"))).to_have_count(1)
    expect(terminal(page)).not_to_contain_text("second-2")


def test_a_stop_and_a_start_by_hand(page: Page, served: Served) -> None:
    begin(page, served, "sleep", "Sleeper")
    type_into_editor(page, "print('kept over the night')\n")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Stop this REPL").click()
    expect(page.get_by_role("heading", name="Sleeper is stopped")).to_be_visible()
    expect(page.get_by_text("It was stopped by hand.")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".dx-chip")).to_have_text("Running")
    expect(page.locator(".dx-cover")).to_be_hidden()
    expect(terminal(page)).to_contain_text("$")
    expect(editor(page)).to_contain_text("kept over the night")
    page.keyboard.press("Control+Enter")
    expect(terminal(page)).to_contain_text("kept over the night")


def test_a_renamed_file_keeps_its_tab(page: Page, served: Served) -> None:
    arrive(page, served, "files", "Files")
    page.get_by_role("treeitem", name="main.py").click()
    page.keyboard.press("F2")
    page.get_by_label("New name").fill("start.py")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="start.py")).to_be_visible()
    type_into_editor(page, "print('renamed')\n")
    page.keyboard.press("Control+`")
    page.keyboard.type("until grep renamed start.py; do sleep 0.1; done; ls main.py\n")
    expect(terminal(page)).to_contain_text("print('renamed')")
    expect(terminal(page)).to_contain_text("No such file")
    page.get_by_role("treeitem", name="start.py").click()
    page.keyboard.press("Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("tab", name="start.py")).to_have_count(0)
    page.keyboard.press("Control+`")
    page.keyboard.type("ls start.py\n")
    expect(terminal(page)).to_contain_text("cannot access 'start.py'")
