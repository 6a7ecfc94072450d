"""How a person works at the terminal of the tests' page."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.components.terminal.serving import Served


@contextmanager
def at_prompt(page: Page, served: Served, url: str = "") -> Iterator[Page]:
    """A shell of its own, at its prompt, with the keyboard; closed afterwards, for only so many may be open."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(url or served.url)
    expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
    expect(rows(page)).to_contain_text("$")
    focus(page)
    terminal = page.locator("#terminal").inner_text()
    yield page
    closed = httpx.delete(f"{served.url}/repls/r1/terminals/{terminal}", trust_env=False)
    assert closed.status_code in (204, 404)


def rows(page: Page) -> Locator:
    """What the terminal shows."""
    return page.locator(".xterm-rows")


def enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def focus(page: Page) -> None:
    page.get_by_role("button", name="focus").click()
    expect(page.locator(".xterm-helper-textarea")).to_be_focused()


def paste(page: Page, text: str) -> None:
    """As the browser does it, without its clipboard."""
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.setData("text/plain", text);
            document.querySelector(".xterm-helper-textarea").dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }""",
        text,
    )


def place(page: Page, word: str) -> tuple[float, float]:
    """In the row that shows it last, a little from the left."""
    box = page.locator(".xterm-rows > div", has_text=word).last.bounding_box()
    assert box
    return box["x"] + 20, box["y"] + box["height"] / 2


def choose(page: Page, word: str, item: str) -> None:
    """An item of the menu that opens over a word."""
    page.mouse.click(*place(page, word), button="right")
    page.get_by_role("menuitem", name=item).click()
