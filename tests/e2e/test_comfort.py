"""Terminals in the workbench: named, side by side, and leading to the editor."""

import json
from typing import Final

from playwright.sync_api import Locator, Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, editor, terminal
from tests.getting_around import command

READ_OUT: Final = ".dx-tabpanel:not(.dx-behind) .xterm-accessibility"  # what a screen reader is given


def tab(page: Page, name: str) -> Locator:
    return page.get_by_role("tab", name=name, exact=True)


def test_terminals_have_names_and_stand_side_by_side(page: Page, served: Served) -> None:
    begin(page, served, "sider", "Sides")
    tab(page, "Shell 1").dblclick()
    page.get_by_label("Name", exact=True).fill("<b>server</b>")
    page.keyboard.press("Enter")
    expect(tab(page, "<b>server</b>")).to_be_visible()
    expect(page.locator(".xterm-helper-textarea:focus")).to_be_attached()
    page.keyboard.type("printf '\\033]0;of a program\\007'; echo na''med\n")
    expect(terminal(page)).to_contain_text("named")
    command(page, "splittheterminal")
    expect(tab(page, "Shell 2")).to_have_attribute("aria-selected", "true")
    shown = page.locator(".dx-tabpanel:not(.dx-behind)")
    expect(shown).to_have_count(2)
    expect(shown.last.locator(".xterm-helper-textarea")).to_be_focused()
    page.keyboard.type("echo ri''ght\n")
    expect(shown.last.locator(".xterm-rows")).to_contain_text("right")
    border = page.get_by_role("separator", name="Width of Shell 2")
    border.focus()
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    expect(border).to_have_attribute("aria-valuenow", "40")
    page.reload()
    expect(shown).to_have_count(2)
    expect(border).to_have_attribute("aria-valuenow", "40")
    expect(tab(page, "<b>server</b>")).to_be_visible()
    shown.first.locator(".xterm-screen").click()
    expect(tab(page, "<b>server</b>")).to_have_attribute("aria-selected", "true")
    page.set_viewport_size({"width": 400, "height": 700})
    page.get_by_role("tab", name="Terminal", exact=True).click()
    expect(page.locator(".dx-tabpanel:visible")).to_have_count(1)
    page.set_viewport_size({"width": 1280, "height": 800})
    command(page, "oneatatime")
    expect(shown).to_have_count(1)
    tab(page, "Shell 2").click(modifiers=["Control"])
    expect(shown).to_have_count(2)
    page.keyboard.type("echo wai''ting; cat\n")
    expect(shown.last.locator(".xterm-rows")).to_contain_text("waiting")
    page.get_by_role("button", name="Close Shell 2").click()
    question = page.get_by_role("dialog", name="Close the terminal?")
    expect(question).to_contain_text("“cat” runs in this terminal.")
    question.get_by_role("button", name="Close").click()
    expect(shown).to_have_count(1)


def test_a_traceback_leads_to_its_line_and_is_taken_away_and_read_out(page: Page, served: Served) -> None:
    begin(page, served, "tracer", "Traces")
    page.keyboard.press("Control+`")
    page.keyboard.type("printf 'import json\\n\\n1 / 0\\n' > wrong.py; clear; python3 wrong.py\n")
    expect(terminal(page)).to_contain_text("ZeroDivisionError")
    page.keyboard.press("Control+Shift+O")
    page.get_by_role("menuitem", name="wrong.py:3").press("Enter")
    expect(editor(page)).to_contain_text("1 / 0")
    expect(page.get_by_text("Ln 3, Col 1")).to_be_visible()

    page.keyboard.press("Control+`")
    page.keyboard.type("printf '\\033]0;de\\342\\200\\256pl\\330\\234o\\177y <i>now</i>\\007'; cat\n")
    expect(tab(page, "deploy <i>now</i>")).to_be_visible()
    page.keyboard.press("Control+c")
    assert "ZeroDivisionError" in downloaded(page, "Download as text")
    head, *events = downloaded(page, "Download as asciicast").splitlines()
    assert json.loads(head)["version"] == 2
    assert "ZeroDivisionError" in "".join(json.loads(event)[2] for event in events)
    expect(page.locator(READ_OUT)).to_have_count(0)
    command(page, "readoutbyascreenreader")
    expect(page.locator(READ_OUT).first).to_contain_text("ZeroDivisionError")


def downloaded(page: Page, item: str) -> str:
    """By the menu of the terminal in front."""
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click(button="right")
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=item).click()
    return download.value.path().read_text()
