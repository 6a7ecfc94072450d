"""A REPL that does not run: its files are there to be read, and one button starts it."""

from playwright.sync_api import Locator, Page, expect

from tests.e2e.serving import Served, serving
from tests.e2e.workbench import begin, create, editor, sign_up, terminal, type_into_editor
from tests.getting_around import said


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


def test_only_what_can_be_done_is_offered(page: Page, served: Served) -> None:
    begin(page, served, "chooser", "Choice")
    start, stop_it = "Start this REPL", "Stop this REPL"
    page.keyboard.press("Control+Shift+P")
    expect(page.get_by_role("option", name=stop_it)).to_be_visible()
    expect(page.get_by_role("option", name=start)).to_have_count(0)
    page.keyboard.press("Escape")
    stop(page)
    page.keyboard.press("Control+Shift+P")
    expect(page.get_by_role("option", name="History")).to_be_visible()
    for away in (stop_it, "Run the program", "New terminal"):
        expect(page.get_by_role("option", name=away)).to_have_count(0)
    page.get_by_role("option", name=start).click()
    expect(terminal(page)).to_contain_text("$")
    stop(page)
    page.get_by_role("button", name="More", exact=True).click()
    expect(page.get_by_role("menuitem", name=stop_it)).to_be_hidden()
    page.get_by_role("menuitem", name=start).click()
    expect(terminal(page)).to_contain_text("$")


def test_typing_into_a_file_of_a_stopped_repl_starts_it_and_is_saved(page: Page, served: Served) -> None:
    begin(page, served, "writer", "Night owl")
    type_into_editor(page, "print('as it was')\r\n# end\n")
    stop(page)
    workspace = served.data_dir / "workspaces" / page.url.rpartition("/")[2]
    for number in (1, 2):  # in a page that showed the editor before, and in one that did not
        shelf(page).get_by_role("treeitem", name="main.py").click()
        text = shelf(page).locator(".cm-content")
        expect(text).to_contain_text("as it was")
        text.click()
        page.keyboard.press("Control+Home")
        page.keyboard.insert_text(f"# typed while it was stopped {number}\n")
        expect(page.locator(".dx-chip")).to_have_text("Running")
        expect(shelf(page)).to_have_count(0)
        expect(editor(page)).to_contain_text(f"# typed while it was stopped {number}")
        expect(editor(page)).to_be_focused()
        page.keyboard.insert_text(f"# and after it {number}\n")
        expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
        written = (workspace / "main.py").read_text()
        assert written.startswith(f"# typed while it was stopped {number}\n# and after it {number}\n")
        assert written.endswith("print('as it was')\n# end\n")
        assert written.count("typed while") == number
        stop(page)
        page.goto(f"{page.url}?start=0")


def test_what_is_typed_where_the_repl_cannot_start_is_kept(page: Page) -> None:
    with serving(sign_up="open", max_running="1") as served:
        begin(page, served, "keeper", "Waiting")
        type_into_editor(page, "print('old')\n")
        stop(page)
        waiting = page.url
        page.goto(served.url)
        create(page, "Python", "In its way")
        in_its_way = page.url
        page.goto(f"{waiting}?start=0")
        shelf(page).get_by_role("treeitem", name="main.py").click()
        shelf(page).locator(".cm-content").click()
        page.keyboard.press("Control+Home")
        with said(page, "the most at once"):
            page.keyboard.insert_text("# typed in vain\n")
        expect(shelf(page)).to_contain_text("Not saved yet")
        shelf(page).get_by_role("treeitem", name="requirements.txt").click()
        shelf(page).get_by_role("treeitem", name="main.py").click()
        expect(shelf(page).locator(".cm-content")).to_contain_text("# typed in vain")
        page.goto(in_its_way)
        expect(terminal(page)).to_contain_text("$")
        stop(page)
        page.goto(waiting)
        expect(editor(page)).to_contain_text("# typed in vain")
        expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
        main = served.data_dir / "workspaces" / waiting.rpartition("/")[2] / "main.py"
        assert main.read_text() == "# typed in vain\nprint('old')\n"


def test_a_stopped_repl_is_searched(page: Page, served: Served) -> None:
    begin(page, served, "seeker", "Haystack")
    type_into_editor(page, "print('hay')\n" * 60 + "print('needle')\n")
    stop(page)
    for _ in range(2):  # in a page that showed the editor before, and in one that did not
        page.keyboard.press("Control+Shift+F")
        page.keyboard.type("needle")
        page.get_by_role("option", name="print('needle')").click()
        expect(shelf(page).locator(".cm-content")).to_contain_text("needle")
        expect(shelf(page).locator(".cm-activeLine")).to_have_text("print('needle')")
        expect(page.locator(".dx-chip")).to_have_text("Stopped")
        page.goto(f"{page.url.partition('?')[0]}?start=0")


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
