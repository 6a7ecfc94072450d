"""How a person works at the terminal of the tests' page."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.components.terminal.serving import Served

DEADLINE_S = 30
SELECTED = "terminal => getElement(Number(terminal.id.slice(1))).term.getSelection()"


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


def output(page: Page, word: str) -> Locator:
    """The last row that shows it and nothing else, unlike the one in which a command with it was typed."""
    return page.locator(".xterm-rows > div", has_text=re.compile(rf"^{re.escape(word)}\s*$")).last


def place(row: Locator) -> tuple[float, float]:
    """In it, a little from the left."""
    box = row.bounding_box()
    assert box
    return box["x"] + 20, box["y"] + box["height"] / 2


def select(page: Page, word: str) -> None:
    """The word of an output, by double clicks: one whose row has moved meanwhile selects something else."""
    until_s = time.monotonic() + DEADLINE_S
    while True:
        page.mouse.dblclick(*place(output(page, word)))
        if page.locator(".dx-terminal").evaluate(SELECTED) == word:
            return
        assert time.monotonic() < until_s, word


def eventually(page: Page, holds: Callable[[], bool]) -> None:
    """Until it is so; what the page does is heard meanwhile."""
    until_s = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < until_s, "it never became so"
        page.wait_for_timeout(20)


def choose(page: Page, word: str, item: str) -> None:
    """An item of the menu that opens over the row that shows a word last."""
    page.mouse.click(*place(page.locator(".xterm-rows > div", has_text=word).last), button="right")
    page.get_by_role("menuitem", name=item).click()
