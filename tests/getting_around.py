"""How a person gets around in a REPL's page, alone or in the whole application."""

from playwright.sync_api import Locator, Page, expect


def command(page: Page, letters: str) -> None:
    """The one command that these letters find."""
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type(letters)
    expect(page.get_by_role("dialog").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")


def versions(page: Page) -> Locator:
    """In the history that is open."""
    return page.get_by_role("listbox", name="Versions").get_by_role("option")
