"""A text that is open while its workspace is lost, and brought back from a version that lacks the last of it."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.chromium import opened
from tests.components.history.serving import Served, until_saved, visit
from tests.network import Network
from tests.ports import free_port


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    with opened(browser) as page:
        yield page


def text(page: Page) -> Locator:
    return page.locator(".dx-editor-view:visible .cm-content")


def type_first(page: Page, typed: str) -> None:
    text(page).click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text(typed)


def offer(page: Page) -> Locator:
    return page.get_by_role("alert").filter(has_text="this page still has it")


def test_what_was_saved_and_lost_is_put_back_by_who_still_has_it(page: Page, other: Page, served: Served) -> None:
    served.write("a.txt", "one\ntwo\nthree\n")
    served.save()
    for each in (page, other):
        visit(each, served, "?editor=1")
        expect(text(each)).to_contain_text("three")
    type_first(page, "typed, ")
    until_saved(page, "a.txt", "typed, one\ntwo\nthree\n")
    expect(text(other)).to_contain_text("typed, ")
    served.lose()
    for each in (page, other):
        expect(offer(each)).to_be_visible()
        expect(text(each)).not_to_contain_text("typed, ")
    text(other).click()
    for key in ("Control+Home", "ArrowDown", "Shift+ArrowDown", "Delete", "Control+End"):
        other.keyboard.press(key)
    other.keyboard.insert_text("four\n")
    until_saved(page, "a.txt", "one\nthree\nfour\n")
    for each in (page, other):  # the same change of both is one, and what was deleted stays so
        offer(each).get_by_role("button", name="Put it back").click()
        expect(offer(each)).to_have_count(0)
        until_saved(page, "a.txt", "typed, one\nthree\nfour\n")


@pytest.fixture
def network(served: Served) -> Iterator[Network]:
    """Before the page, which Chromium's own way of being offline keeps busy."""
    server = httpx.URL(served.url)
    assert server.port
    with Network(free_port(), server_port=server.port).running() as network:
        served.url = f"{network.url}{server.path}"
        yield network


def test_what_others_delete_or_change_meanwhile_is_no_loss(page: Page, served: Served, network: Network) -> None:
    served.write("a.txt", "one\ntwo\nthree\n")
    visit(page, served, "?editor=1")
    type_first(page, "typed, ")
    until_saved(page, "a.txt", "typed, one\ntwo\nthree\n")
    expect(page.locator("[data-dirty]")).to_have_count(0)
    network.refuse()
    expect(page.get_by_text("Reconnecting…")).to_be_visible()
    served.write("a.txt", "one\nthree\n")
    served.save()
    served.lose()
    network.restore()
    expect(text(page)).not_to_contain_text("two")
    expect(page.locator(".dx-restoring-line")).to_contain_text("was lost")  # the page has heard of it
    expect(offer(page)).to_have_count(0)
    type_first(page, "and ")
    until_saved(page, "a.txt", "and one\nthree\n")


def test_a_file_that_is_in_no_version_is_put_back(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    served.write("new.txt", "not in the store\n")
    visit(page, served)
    tabs = """'{"paths": ["new.txt"], "active": "new.txt"}'"""
    page.evaluate(f"localStorage.setItem(`devex:tabs:/repls${{location.pathname}}`, {tabs})")
    visit(page, served, "?editor=1")
    expect(text(page)).to_contain_text("not in the store")
    served.lose()
    offer(page).get_by_role("button", name="Put it back").click()
    expect(text(page)).to_contain_text("not in the store")
    expect(offer(page)).to_have_count(0)
    assert served.text("new.txt") == "not in the store\n"
