"""A REPL that does not run: its files are there to be read, and one button starts it."""

from playwright.sync_api import Locator, Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, editor, sign_up, terminal, type_into_editor


def shelf(page: Page) -> Locator:
    return page.locator(".dx-shelf")


def stop(page: Page) -> None:
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Stop this REPL").click()
    expect(page.get_by_role("heading", name="is stopped")).to_be_visible()


def test_files_of_a_stopped_repl_are_read_without_starting_it(page: Page, served: Served) -> None:
    begin(page, served, "reader", "Library")
    type_into_editor(page, "print('to be read')\n")
    page.keyboard.press("Control+`")
    page.keyboard.type("head -c 100 /dev/zero > zeros; mkdir -p deep; echo inner > deep/note.txt\n")
    expect(page.get_by_role("treeitem", name="zeros")).to_be_visible()
    stop(page)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_hidden()
    shelf(page).get_by_role("treeitem", name="main.py").click()
    text = shelf(page).locator(".cm-content")
    expect(text).to_contain_text("to be read")
    text.click()
    page.keyboard.type("nothing is typed here")
    expect(text).not_to_contain_text("nothing")
    shelf(page).get_by_role("treeitem", name="zeros").click()
    expect(shelf(page)).to_contain_text("This file is not text.")
    with page.expect_download() as download:
        shelf(page).get_by_role("link", name="Download").click()
    assert download.value.path().stat().st_size == 100

    page.goto(served.url)
    page.get_by_role("button", name="More for Library").click()
    page.get_by_role("menuitem", name="Browse files").click()
    shelf(page).get_by_role("treeitem", name="deep").click()
    shelf(page).get_by_role("treeitem", name="note.txt").click()
    expect(shelf(page).locator(".cm-content")).to_contain_text("inner")
    expect(page.locator(".dx-chip")).to_have_text("Stopped")
    page.get_by_role("button", name="Start").click()
    expect(editor(page)).to_contain_text("to be read")
    expect(terminal(page)).to_contain_text("$")
    expect(shelf(page)).to_have_count(0)


def test_what_is_typed_after_the_next_start_is_saved(page: Page, served: Served) -> None:
    begin(page, served, "returner", "Returned")
    type_into_editor(page, "print('before')\n")
    stop(page)
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".dx-chip")).to_have_text("Running")
    type_into_editor(page, "print('after')\n")
    workspace = served.data_dir / "workspaces" / page.url.rpartition("/")[2]
    assert (workspace / "main.py").read_text() == "print('after')\n"


def test_a_page_that_does_not_exist_leads_back(page: Page, served: Served) -> None:
    sign_up(page, served, "lost")
    page.goto(f"{served.url}/nowhere")
    expect(page.get_by_role("heading", name="There is no such page.")).to_be_visible()
    page.get_by_role("link", name="Your REPLs").click()
    expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()
