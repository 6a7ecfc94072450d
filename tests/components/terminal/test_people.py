"""Two people at one terminal, each in a browser of their own."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.chromium import at_home, opened
from tests.components.terminal.at_terminal import at_prompt, enter, focus, rows
from tests.components.terminal.serving import Served


@pytest.fixture
def ada(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        yield page


@contextmanager
def joined(browser: Browser, served: Served, ada: Page, *, width: int = 900, **cookies: str) -> Iterator[Page]:
    """Somebody else at the same terminal."""
    with opened(browser, viewport={"width": 1000, "height": 700}, reduced_motion="reduce") as page:
        page.context.add_cookies([{"name": key, "value": value, "url": served.url} for key, value in cookies.items()])
        page.goto(f"{served.url}/?terminal={ada.locator('#terminal').inner_text()}&width={width}")
        expect(rows(page)).to_contain_text("$")
        yield page


def who(page: Page) -> Locator:
    return page.locator(".dx-people-who")


def notice(page: Page) -> Locator:
    return page.locator(".dx-people-notice")


def choose(page: Page, item: str) -> None:
    who(page).press("Enter")
    page.get_by_role("menuitem", name=item).press("Enter")


def test_keys_of_the_other_are_refused_visibly_until_the_turn_is_taken_over_or_given(
    browser: Browser, served: Served, ada: Page
) -> None:
    expect(who(ada)).to_have_count(0)
    with joined(browser, served, ada, name="Ben") as ben:
        expect(who(ada)).to_have_attribute("aria-label", "Here with you: Ben. Nobody is typing.")
        focus(ada)
        enter(ada, "cat; echo do''ne")
        expect(who(ben)).to_have_attribute("aria-label", "Here with you: Ada. Ada is typing.")
        focus(ben)
        ben.keyboard.type("by ben")
        expect(notice(ben)).to_contain_text("Ada is typing here. What you typed was not sent.")
        ben.get_by_role("button", name="Take over").click()
        expect(notice(ben)).to_be_empty()
        expect(ben.locator(".xterm-helper-textarea")).to_be_focused()
        expect(notice(ada)).to_contain_text("Ben types now.")
        enter(ben, "now it is ben")
        expect(rows(ada)).to_contain_text("now it is ben")
        ada.get_by_role("button", name="Close this notice").click()
        choose(ben, "Hand over to Ada")
        expect(notice(ada)).to_contain_text("It is your turn to type.")
        focus(ada)
        ada.keyboard.press("Control+d")
        expect(rows(ben)).to_contain_text("done")
        assert "by ben" not in rows(ben).inner_text()
    expect(who(ada)).to_have_count(0)


def test_a_terminal_larger_than_the_window_scrolls_with_its_cursor_and_a_smaller_one_shows_its_end(
    browser: Browser, served: Served, ada: Page
) -> None:
    with joined(browser, served, ada, name="Ben", width=380) as ben:
        expect(ada.locator(".dx-terminal-smaller")).to_be_attached()
        focus(ada)
        enter(ada, "clear; stty size")
        larger = ben.locator(".dx-terminal-larger")
        expect(larger).to_be_attached()
        expect(ada.locator(".dx-terminal-smaller")).to_have_count(0)
        ada.keyboard.type("x" * 90 + "end")
        expect(rows(ben)).to_contain_text("x" * 90 + "end")
        ben.wait_for_function("document.querySelector('.dx-terminal-larger').scrollLeft > 100")
        ada.evaluate("document.getElementById('box').style.display = 'none'")
        expect(larger).to_have_count(0)


def test_who_may_only_look_sees_that_and_types_nothing(browser: Browser, served: Served, ada: Page) -> None:
    with joined(browser, served, ada, name="Eve", looks="1") as eve:
        expect(eve.get_by_text("Read-only")).to_be_visible()
        expect(who(ada)).to_have_attribute("aria-label", "Here with you: Eve (may only look). Nobody is typing.")
        focus(eve)
        eve.keyboard.type("touch by-eve")
        expect(notice(eve)).to_contain_text("You may only look at this terminal")
        who(eve).press("Enter")
        expect(eve.get_by_role("menuitem")).to_have_text(["Ada"])
        eve.keyboard.press("Escape")
        eve.get_by_role("button", name="Close this notice").click()
        expect(notice(eve)).to_be_empty()
        eve.evaluate(
            "dispatchEvent(new CustomEvent('devex:command', { detail: 'terminal-take-over', cancelable: true }))"
        )
        expect(notice(eve)).to_contain_text("You may only look at this terminal")
        focus(ada)
        enter(ada, "echo ready")
        expect(rows(eve)).to_contain_text("ready")
        assert "by-eve" not in rows(ada).inner_text()
