"""On a phone: the keys that its keyboard lacks, and files that are dropped."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PLAIN_HOST, opened
from tests.components.terminal.at_terminal import at_prompt, enter, rows
from tests.components.terminal.serving import Served

ROW = ["Esc", "Tab", "Ctrl", "Alt", "←", "↑", "↓", "→", "|", "/", "~", "-"]


@pytest.fixture(scope="module")
def phone(browser: Browser, served: Served) -> Iterator[Page]:
    size = {"width": 400, "height": 800}
    plain = served.url.replace("127.0.0.1", PLAIN_HOST) + "?width=380"
    with opened(browser, viewport=size, has_touch=True, is_mobile=True) as page, at_prompt(page, served, plain):
        yield page


def press(page: Page, *names: str) -> None:
    for name in names:
        page.get_by_role("toolbar", name="More keys").get_by_role("button", name=name).tap()


def test_the_row_is_large_and_leaves_the_keyboard_where_it_is(phone: Page) -> None:
    row = phone.get_by_role("toolbar", name="More keys")
    assert row.get_by_role("button").all_inner_texts() == [*ROW, ""]
    for button in row.get_by_role("button").all():
        box = button.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= 44
    enter(phone, "cat -v")
    press(phone, "Slash", "Tilde", "Minus", "Pipe", "Left", "Up", "Escape")
    expect(phone.locator(".xterm-helper-textarea")).to_be_focused()
    phone.keyboard.press("Enter")
    expect(rows(phone)).to_contain_text("/~-|^[[D^[[A^[")
    press(phone, "Control")
    expect(phone.get_by_role("button", name="Control")).to_have_attribute("aria-pressed", "true")
    phone.keyboard.insert_text("c")  # as a composing keyboard of a phone does
    expect(phone.get_by_role("button", name="Control")).to_have_attribute("aria-pressed", "false")
    enter(phone, "echo st''opped")
    expect(rows(phone)).to_contain_text("stopped")


def test_held_keys_change_the_next_one_only(phone: Page) -> None:
    enter(phone, "clear; printf '\\033[?1hrea''dy\\n'; cat -v")
    expect(rows(phone)).to_contain_text("ready")
    press(phone, "Up", "Control", "Left", "Alt")
    phone.keyboard.type("xy")
    phone.keyboard.press("Enter")
    expect(rows(phone)).to_contain_text("^[OA^[[1;5D^[xy")
    phone.keyboard.press("Control+c")
    enter(phone, "printf '\\033[?1l'")


def test_paste_asks_for_the_clipboard_where_the_browser_does_not_give_it(phone: Page) -> None:
    press(phone, "Paste")
    field = phone.get_by_label("Text to paste")
    expect(field).to_be_focused()
    field.evaluate(
        """field => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text/plain", "echo by''hand");
            field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        }"""
    )
    expect(rows(phone)).to_contain_text("echo by''hand")
    phone.keyboard.press("Enter")
    expect(rows(phone)).to_contain_text("byhand")


def test_dropped_files_are_uploaded_and_their_paths_are_typed(phone: Page, served: Served) -> None:
    drag = phone.evaluate_handle(
        """() => {
            const drag = new DataTransfer();
            drag.items.add(new File(["first"], "it's one.txt"));
            drag.items.add(new File(["second"], "two.txt"));
            return drag;
        }"""
    )
    phone.keyboard.type("clear; cat ")
    terminal = phone.locator(".dx-terminal")
    terminal.dispatch_event("dragover", {"dataTransfer": drag})
    expect(terminal).to_have_attribute("data-drop", "true")
    terminal.dispatch_event("drop", {"dataTransfer": drag})
    expect(rows(phone)).to_contain_text("two.txt")
    phone.keyboard.press("Enter")
    expect(rows(phone)).to_contain_text("firstsecond")
    assert (served.workspace / "it's one.txt").read_text() == "first"
    terminal.dispatch_event("drop", {"dataTransfer": drag})
    expect(phone.get_by_role("dialog", name="Replace 2 names?")).to_be_visible()
    phone.keyboard.press("Escape")
    expect(phone.get_by_role("dialog")).to_have_count(0)
