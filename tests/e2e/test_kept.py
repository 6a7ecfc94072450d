"""What programs wrote is kept: listed, searched, run again, downloaded, and shown when the REPL does not run."""

import json
import re

from playwright.sync_api import Locator, Page, expect

from tests.components.terminal.at_terminal import place
from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, begin, run, terminal, type_into_editor

# Nothing of this may reach the page: a count that would stop it, the clipboard, an address that is no page's.
EVIL = "\\x1b[999999999b\\x1b]52;c;ZXZpbA==\\x07\\x1b]8;;javascript:alert(1)\\x07link\\x1b]8;;\\x07"
PAGE = "http://localhost:1/page"
LINK = f"\\x1b]8;;{PAGE}\\x07page\\x1b]8;;\\x07"
WRITES = f"""
import sys
blob = b"x" * (100 << 20)
print("{EVIL} a needle in it")
print("{LINK}")
sys.exit(3)
"""
LASTS = f"""
import time
print("{EVIL} still here")
print("{LINK}", flush=True)
time.sleep(1000)
"""
MARKED = ".dx-recorded-screen .xterm-decoration-top, .dx-recorded-screen .xterm-selection div"


def recording(page: Page) -> Locator:
    """The text of the record in front."""
    return page.locator(".dx-recorded-screen:visible .xterm-rows")


def downloaded(page: Page, item: str) -> str:
    page.locator(".dx-output-line:visible").get_by_role("button", name="Download what it wrote").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=item).click()
    return download.value.path().read_text()


def fill_clipboard(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate("navigator.clipboard.writeText('mine')")


def stays_output(page: Page) -> None:
    """Of what the record in front shows, only the link to a page leads anywhere, and the clipboard is as it was."""
    before = page.context.pages
    row, pointer = recording(page).locator("> div"), page.locator(".dx-recorded-screen:visible .xterm-cursor-pointer")
    script, link = (row.filter(has_text=text) for text in (re.compile("^link"), re.compile(r"^page\s*$")))
    expect(page.locator(".dx-recorded-screen:visible")).to_have_attribute("data-state", "shown")
    page.mouse.move(*place(link))
    expect(pointer).to_be_attached()
    page.mouse.click(*place(script))
    expect(pointer).to_have_count(0)
    asked = page.context.expect_event("request", lambda request: request.url == PAGE)
    with page.context.expect_page() as opened, asked as request:
        page.mouse.click(*place(link))
    assert request.value.frame.page == opened.value
    assert page.context.pages == [*before, opened.value]
    opened.value.close()
    assert page.evaluate("navigator.clipboard.readText()") == "mine"


def go_to_runs(page: Page) -> None:
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type("Runs")
    page.get_by_role("option", name="Runs", exact=True).click()


def stop(page: Page) -> None:
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Stop this REPL").click()
    expect(page.get_by_role("heading", name="is stopped")).to_be_visible()


def test_runs_are_listed_searched_run_again_and_deleted(page: Page, served: Served) -> None:
    arrive(page, served, "runner", "Runs")
    fill_clipboard(page)
    type_into_editor(page, WRITES)
    line = run(page)
    expect(line).to_contain_text(re.compile(r"Exit code 3 after .*, 1\d\d MB"))
    type_into_editor(page, LASTS)
    run(page)
    expect(line).to_contain_text("Running")
    page.get_by_role("button", name="All runs").click()
    rows = page.locator(".dx-runs-row")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("runner · for")
    expect(rows.last).to_contain_text(re.compile(r"Exit code 3 · runner · .*1\d\d MB"))
    rows.first.click()
    expect(terminal(page)).to_contain_text("still here")

    go_to_runs(page)
    rows.last.click()
    expect(recording(page)).to_contain_text("link a needle in it")
    stays_output(page)
    assert "a needle in it" in downloaded(page, "Download as text")
    assert json.loads(downloaded(page, "Download as asciicast").splitlines()[0])["version"] == 2
    page.get_by_role("searchbox", name="Search all output").fill("NEEDLE in")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("a needle in it")
    rows.first.click()
    expect(page.locator(MARKED).first).to_be_attached()

    page.get_by_role("searchbox", name="Search all output").fill("")
    page.keyboard.press("Backspace")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(rows.first).to_contain_text("Stopped (SIGTERM)")
    type_into_editor(page, "print('changed since')\n")
    page.get_by_role("tab", name="Runs").click()
    page.get_by_role("button", name="Run again").click()
    expect(line).to_contain_text("Exit code 0")
    expect(terminal(page)).to_contain_text("changed since")
    go_to_runs(page)
    expect(rows).to_have_count(3)
    rows.last.click()
    expect(page.locator(MARKED)).to_have_count(0)  # it is shown anew, without what was searched for
    expect(recording(page)).to_contain_text("link a needle in it")
    page.get_by_role("button", name="Delete this record").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(rows).to_have_count(2)


def test_what_was_there_last_is_shown_by_a_stopped_repl_and_runs_again(page: Page, served: Served) -> None:
    begin(page, served, "dozer", "Left open")
    fill_clipboard(page)
    page.keyboard.press("Control+`")
    page.keyboard.type("echo kept-$((40+2))\n")
    expect(terminal(page)).to_contain_text("kept-42")
    type_into_editor(page, LASTS)
    run(page)
    expect(terminal(page)).to_contain_text("still here")
    stop(page)
    shelf = page.locator(".dx-shelf")
    for _ in range(2):  # in a page that showed it running, and in one that did not
        expect(recording(page)).to_contain_text("still here")
        stays_output(page)
        expect(shelf.locator(".dx-output-line:visible")).to_contain_text("Ended with its sandbox")
        shelf.get_by_role("tab", name="Shell 1").click()
        expect(recording(page)).to_contain_text("kept-42")
        page.goto(f"{page.url.partition('?')[0]}?start=0")

    expect(recording(page)).to_contain_text("still here")
    shelf.get_by_role("button", name="Run again").click()
    expect(page.locator(".dx-output-line:visible")).to_contain_text("Running")
    expect(terminal(page)).to_contain_text("still here")
    page.get_by_role("tab", name="Shell 1").click()
    expect(terminal(page)).to_contain_text(re.compile("kept-42.*A new terminal begins here.*[$]"))

    stop(page)
    page.goto(page.url.partition("?")[0])  # which starts it
    page.get_by_role("tab", name="Output", exact=True).first.click()
    expect(recording(page)).to_contain_text("still here")
    expect(page.locator(".dx-output-line:visible")).to_contain_text("Ended with its sandbox")
    page.locator(".dx-output-line:visible").get_by_role("button", name="Run again").click()
    expect(page.locator(".dx-output-line:visible")).to_contain_text("Running")

    stop(page)
    shelf.get_by_role("tab", name="Runs").click()
    rows = shelf.locator(".dx-runs-row")
    expect(rows).to_have_count(3)
    rows.first.click()
    shelf.get_by_role("button", name="Delete this record").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(rows).to_have_count(2)
    shelf.get_by_role("button", name="Delete all records").click()
    page.get_by_role("button", name="Delete all", exact=True).click()
    expect(shelf).to_contain_text("Nothing has run here yet.")
