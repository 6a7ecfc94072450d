"""Copy and paste, where the browser gives the page no clipboard: over plain http, on a host that is not loopback; or
where it has one and says no.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PLAIN_HOST, at_home
from tests.components.terminal.at_terminal import at_prompt, choose, enter, output, paste, rows, select
from tests.components.terminal.serving import Served

NO_CLIPBOARD = "!isSecureContext && navigator.clipboard === undefined"


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    plain = served.url.replace("127.0.0.1", PLAIN_HOST)
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served, plain):
        assert page.evaluate(NO_CLIPBOARD)
        yield page


@pytest.fixture
def refused(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        browser_itself = page.context.new_cdp_session(page)
        for name in ("clipboard-read", "clipboard-write"):
            browser_itself.send("Browser.setPermission", {"permission": {"name": name}, "setting": "denied"})
        for asked in ("readText()", "writeText('x')"):
            assert page.evaluate(f"navigator.clipboard.{asked}.catch((error) => error.name)") == "NotAllowedError"
        yield page


@pytest.mark.parametrize(
    ("copy", "paste"), [("Control+Shift+C", "Control+Shift+V"), ("Control+Insert", "Shift+Insert")]
)
def test_keys_copy_and_paste(page: Page, copy: str, paste: str) -> None:
    enter(page, "clear; echo se''lected")
    select(page, "selected")
    page.keyboard.press(copy)
    page.keyboard.type("echo pasted-")
    page.keyboard.press(paste)
    page.keyboard.press("Enter")
    expect(output(page, "pasted-selected")).to_be_visible()


def test_a_clipboard_that_may_be_read_is_pasted_by_its_keys(browser: Browser, served: Served) -> None:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.evaluate("navigator.clipboard.writeText('echo pasted 👩‍🚀 café')")
        page.keyboard.press("Control+Shift+V")
        expect(rows(page)).to_contain_text("$ echo past")
        page.keyboard.press("Enter")
        expect(output(page, "pasted 👩‍🚀 café")).to_be_visible()


def test_who_has_said_no_copies_and_pastes_and_is_told_what_to_press(refused: Page) -> None:
    page = refused
    enter(page, "clear; echo se''lected")
    select(page, "selected")
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("echo one-")
    page.keyboard.press("Control+Shift+V")
    page.keyboard.press("Enter")
    select(page, "one-selected")
    choose(page, "one-selected", "Copy")
    page.keyboard.type("echo two-")
    choose(page, "two-", "Paste")
    dialog = page.get_by_role("dialog", name="Paste")
    expect(dialog).to_contain_text("does not let the page read the clipboard here")
    expect(dialog).to_contain_text("Ctrl+V")
    dialog.get_by_label("Text to paste").press("Control+v")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Enter")
    expect(output(page, "two-one-selected")).to_be_visible()


def test_a_line_that_was_wrapped_is_copied_as_one(page: Page, served: Served) -> None:
    long = "word" * 60
    (served.workspace / "long").write_text(f"{long}\nnext\n")
    enter(page, "clear; cat long; cat > copied")
    expect(rows(page)).to_contain_text("next")
    choose(page, "next", "Select all")
    choose(page, "next", "Copy")
    choose(page, "next", "Paste")
    field = page.get_by_label("Text to paste")
    expect(field).to_be_focused()
    field.press("Control+v")
    page.get_by_role("dialog").get_by_role("button", name="Paste").press("Enter")
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+d")
    enter(page, "clear; echo do''ne")
    expect(rows(page)).to_contain_text("done")
    assert f"{long}\nnext\n" in (served.workspace / "copied").read_text()


def test_lines_that_would_be_run_are_asked_about(page: Page) -> None:
    paste(page, "echo o''ne; touch /no\necho t''wo\n")
    question = page.get_by_role("dialog", name="Paste 2 lines?")
    expect(question).to_contain_text("echo t''wo")
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    enter(page, "echo ti''dy")
    expect(rows(page)).to_contain_text("tidy")
    expect(rows(page)).not_to_contain_text("two")
    paste(page, "echo th''ree\n")  # one, as if it were typed
    expect(rows(page)).to_contain_text("three")
    enter(page, r"printf '\033[?2004hrea''dy'; cat > pasted")  # a program that knows a paste when it sees one
    expect(rows(page)).to_contain_text("ready")
    paste(page, "four\nfive\n")
    expect(rows(page)).to_contain_text("five")
