"""What is said while a workspace that came up empty is brought back, and of what was lost with the one before."""

import json
import re

from playwright.sync_api import Locator, Page, expect

from tests.components.history.serving import Served, until_saved, visit

RECEIPT = ".dx-receipt > button"


def line(page: Page) -> Locator:
    return page.locator(".dx-restoring-line")


def tell(page: Page, **message: object) -> None:
    """To all elements, as if the REPL had."""
    told = json.dumps({"type": "restoring", "problem": None, "done": False, "cut_off": False, "at": None, **message})
    page.evaluate(f"window.dispatchEvent(new CustomEvent('devex:repl', {{detail: {told}}}))")


def test_what_was_lost_is_said(page: Page, served: Served) -> None:
    served.write("a.txt", "in the store\n")
    served.save()
    visit(page, served)
    served.write("b.txt", "not in the store\n")
    expect(page.locator(RECEIPT)).to_have_attribute("title", re.compile(r"not in the store yet: b\.txt\."))
    away = served.store.rename(served.store.with_name("away"))
    served.lose()
    expect(line(page)).to_contain_text("Your files are not back yet: The folder of versions is gone.")
    expect(line(page).get_by_role("progressbar")).to_be_visible()
    away.rename(served.store)
    lost = re.compile(
        r"Your files are as they were at .*; what was changed after that \(from [\d:]+ on\) is lost: b\.txt\."
    )
    expect(line(page)).to_contain_text(lost)
    expect(page.locator(".dx-restoring [role=status]")).to_contain_text(lost)
    expect(page.get_by_role("treeitem")).to_have_text(["a.txt"])
    assert served.text("a.txt") == "in the store\n"
    line(page).get_by_role("button", name="History").click()
    expect(page.get_by_role("region", name="History")).to_be_visible()
    page.keyboard.press("Escape")
    line(page).get_by_role("button", name="Dismiss").click()
    expect(line(page)).to_have_count(0)
    visit(page, served)
    expect(page.locator(RECEIPT)).to_be_visible()
    expect(line(page)).to_have_count(0)


def test_what_is_lost_before_a_version_was_saved_again_is_said_as_well(page: Page, served: Served) -> None:
    served.write("a.txt", "in the store\n")
    served.save()
    visit(page, served)
    for lost in ("b.txt", "c.txt"):
        served.write(lost, "not in the store\n")
        expect(page.locator(RECEIPT)).to_have_attribute("title", re.compile(rf"not in the store yet: {lost}\."))
        served.lose()
        expect(line(page)).to_contain_text(re.compile(rf"\(from [\d:]+ on\) is lost: {lost}\."))
        expect(page.get_by_role("treeitem")).to_have_text(["a.txt"])
        line(page).get_by_role("button", name="Dismiss").click()
        expect(line(page)).to_have_count(0)


def test_an_open_file_comes_back_with_the_workspace(page: Page, served: Served) -> None:
    """Also when its store answers later than anybody waits for one file."""
    served.write("a.txt", "in the store\n")
    served.save()
    visit(page, served, "?editor=1")
    editor = page.locator(".dx-editor .cm-content")
    expect(editor).to_contain_text("in the store")
    away = served.store.rename(served.store.with_name("away"))
    served.lose()
    expect(page.get_by_text("This file is being brought back from the store.")).to_be_visible()
    away.rename(served.store)
    expect(editor).to_be_visible()
    expect(editor).to_contain_text("in the store")
    expect(page.get_by_text("This file is being brought back from the store.")).to_have_count(0)
    editor.click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("typed after it ")
    until_saved(page, "a.txt", "typed after it in the store\n")


def test_where_nothing_was_lost_nothing_is_said(page: Page, served: Served) -> None:
    served.write("a.txt", "in the store\n")
    served.save()
    visit(page, served)
    expect(page.locator(RECEIPT)).to_contain_text("Safe in the store")
    served.lose()
    expect(page.locator(RECEIPT)).to_contain_text("Not yet compared with the store")
    expect(page.get_by_role("treeitem")).to_have_text(["a.txt"])
    expect(line(page)).to_have_count(0)


def test_how_far_it_is(page: Page, served: Served) -> None:
    visit(page, served)
    expect(page.locator(RECEIPT)).to_be_visible()  # what the REPL says on arrival would take back what the test says
    far = {"files": 400, "of_files": 1000, "bytes": 410, "of_bytes": 1000}
    tell(page, path=None, **far)
    expect(line(page)).to_contain_text("Bringing your files back… 41 %")
    expect(line(page)).to_contain_text("400 of 1,000 files")
    expect(line(page).get_by_role("progressbar")).to_have_js_property("value", 41)
    expect(page.locator(RECEIPT)).to_contain_text("Bringing your files back… 41 %")
    tell(page, path=None, **{**far, "done": True})
    expect(line(page)).to_have_count(0)
    tell(
        page,
        path=None,
        **{**far, "done": True, "at": "2026-01-31T12:00:00Z", "notes": [["a", "is damaged"]], "noted": 1},
    )
    expect(line(page)).to_contain_text("Your files are back, but not all as they were.")
    line(page).get_by_text("One is not back as it was").click()
    expect(line(page).get_by_text("is damaged")).to_be_visible()
    line(page).get_by_role("button", name="Dismiss").click()
    tell(page, path="docs", **far)
    expect(page.locator(RECEIPT)).to_contain_text("Restoring docs… 41 %")
    expect(line(page)).to_have_count(0)
