"""How a person gets around in a REPL's page, alone or in the whole application."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from playwright.sync_api import Locator, Page, expect

WATCH: Final = """text => {
    window.hasSaid = false;
    const isNew = (node, changes) => changes.some(({ target, addedNodes }) =>
        node.contains(target) || [...addedNodes].some((added) => node.contains(added) || added.contains(node)));
    new MutationObserver((changes, watching) => {
        for (const node of document.querySelectorAll("[role=alert], [role=status]"))
            window.hasSaid ||= node.textContent.includes(text) && node.checkVisibility() && isNew(node, changes);
        if (window.hasSaid) watching.disconnect();
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""


def command(page: Page, letters: str) -> None:
    """The one command that these letters find."""
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type(letters)
    expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")


@contextmanager
def said(page: Page, text: str) -> Iterator[None]:
    """What is done within makes the page say this, for a moment in which perhaps only the page itself looks."""
    page.evaluate(WATCH, text)
    yield
    page.wait_for_function("window.hasSaid")


def until(page: Page, check: str, arg: object = None) -> None:
    """An async function of JavaScript tells true within a minute; `wait_for_function` takes its promise for true."""
    page.evaluate(
        f"""async arg => {{
            const check = {check};
            for (let left = 600; left > 0; left--) {{
                if (await check(arg)) return;
                await new Promise(next => setTimeout(next, 100));
            }}
            throw new Error("it did not become so");
        }}""",
        arg,
    )


def versions(page: Page) -> Locator:
    """In the history that is open."""
    return page.get_by_role("listbox", name="Versions").get_by_role("option")
