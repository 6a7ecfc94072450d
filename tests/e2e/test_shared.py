"""A REPL with several people in it, each with an account and a browser of their own."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.chromium import opened
from tests.e2e.serving import Served, serving
from tests.e2e.test_stopped import shelf, stop
from tests.e2e.workbench import PROMPT, begin, editor, run, sign_up, terminal, type_into_editor
from tests.getting_around import said

pytestmark = pytest.mark.xdist_group("shared")

ASKS: Final = 'import sys\nprint("hello", input("who? "))\nsys.exit(3)\n'
ONLY_LOOK: Final = "You may only look at this terminal: what you type is not sent."
IN_FRONT: Final = ".dx-tabpanel:not(.dx-behind)"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """Apart from the other tests', where nobody more can sign up from here within a quarter of an hour."""
    with serving(sign_up="open") as server:
        yield server


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    with opened(browser, viewport={"width": 1280, "height": 800}) as page:
        yield page


def share(page: Page) -> Locator:
    """The dialog in which others are let in, opened from the menu, which is there whether the REPL runs or not."""
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Share").click()
    dialog = page.get_by_role("dialog", name="Share this REPL")
    expect(dialog.get_by_label("User name")).to_be_focused()
    return dialog


def cards(page: Page) -> Locator:
    """What others share, among one's own REPLs."""
    return page.get_by_role("region", name="Shared with you").get_by_role("article")


def who(page: Page) -> Locator:
    """Who else is at the terminal in front, and whose turn it is to type."""
    return page.locator(f"{IN_FRONT} .dx-people-who")


def choose(page: Page, way: str) -> None:
    """To whom the turn goes."""
    who(page).click()
    page.get_by_role("menuitem", name=way).click()


def notice(page: Page) -> Locator:
    return page.locator(f"{IN_FRONT} .dx-people-notice")


def to_terminal(page: Page) -> None:
    page.locator(f"{IN_FRONT} .xterm-screen").click()


def enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def test_who_is_let_in_finds_it_at_once_and_works_in_it_with_its_owner(page: Page, other: Page, served: Served) -> None:
    sign_up(other, served, "edith")
    begin(page, served, "hester", "Duet")
    dialog = share(page)
    expect(dialog).to_contain_text("Nobody but you is in this REPL.")
    with said(page, "There is no user “nobody”."):
        enter(page, "nobody")
    dialog.get_by_label("User name").fill("edith")
    dialog.get_by_role("button", name="Add as editor").click()
    expect(dialog).to_contain_text("an editor")
    dialog.get_by_role("button", name="Done").click()
    expect(cards(other)).to_contain_text("shared by hester")
    cards(other).get_by_role("link", name="Duet").click()
    expect(terminal(other)).to_contain_text(PROMPT)
    type_in_turn(page, other)
    edit_at_once(page, other)

    address = other.url
    other.goto(served.url)
    expect(cards(other)).to_have_count(1)
    expect(who(page)).to_have_count(0)
    page.goto(served.url)
    page.get_by_role("button", name="More for Duet").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(cards(other)).to_have_count(0)
    page.get_by_role("button", name="Restore").click()
    expect(cards(other)).to_have_count(1)
    other.get_by_role("button", name="More for Duet").click()
    other.get_by_role("menuitem", name="Leave").click()
    other.get_by_role("dialog").get_by_role("button", name="Leave").click()
    expect(cards(other)).to_have_count(0)
    page.goto(f"{address}?start=0")
    expect(share(page)).to_contain_text("Nobody but you is in this REPL.")
    other.goto(address)
    expect(other.get_by_role("heading", name="There is no such REPL.")).to_be_visible()


def type_in_turn(hester: Page, edith: Page) -> None:
    """Into one terminal, which both see."""
    expect(who(hester)).to_have_attribute("aria-label", "Here with you: edith. Nobody is typing.")
    choose(hester, "Take the turn to type")  # for a minute: with keys alone it is theirs for ten seconds
    enter(hester, "cat; echo do''ne")
    expect(who(edith)).to_have_attribute("aria-label", "Here with you: hester. hester is typing.")
    expect(edith.get_by_text("hester is typing")).to_be_visible()
    to_terminal(edith)
    edith.keyboard.type("by edith")
    expect(notice(edith)).to_contain_text("hester is typing here. What you typed was not sent.")
    edith.get_by_role("button", name="Take over").click()
    expect(notice(hester)).to_contain_text("edith types now.")
    enter(edith, "now it is edith")
    expect(terminal(hester)).to_contain_text("now it is edithnow it is edith")  # its echo, and what cat writes
    choose(edith, "Hand over to hester")
    expect(notice(hester)).to_contain_text("It is your turn to type.")
    to_terminal(hester)
    hester.keyboard.press("Control+d")
    expect(terminal(edith)).to_contain_text("done")
    expect(terminal(edith)).not_to_contain_text("by edith")


def edit_at_once(hester: Page, edith: Page) -> None:
    """One file, which both see, as they see the other's files and runs."""
    enter(hester, "touch made.txt")
    expect(edith.get_by_role("treeitem", name="made.txt")).to_be_visible()
    type_into_editor(edith, "print('by edith')\n")
    expect(editor(hester)).to_have_text("print('by edith')")
    editor(hester).click()
    hester.keyboard.press("Control+Home")
    hester.keyboard.insert_text("print('by hester')\n")
    expect(editor(edith)).to_have_text("print('by hester')print('by edith')")
    expect(run(edith)).to_contain_text("Exit code 0")
    hester.get_by_role("tab", name="Output").click()
    expect(terminal(hester)).to_contain_text("by hesterby edith")


def test_who_may_only_look_sees_everything_and_changes_nothing_until_they_may(
    page: Page, other: Page, served: Served
) -> None:
    sign_up(other, served, "vera")
    begin(page, served, "harriet", "Stage")
    dialog = share(page)
    dialog.get_by_label("User name").fill("vera")
    dialog.get_by_role("button", name="Add as viewer").click()
    expect(dialog).to_contain_text("a viewer")
    dialog.get_by_role("button", name="Done").click()
    expect(cards(other)).to_contain_text("shared by harriet · view only")
    expect(cards(other).get_by_role("button", name="Stop")).to_be_hidden()
    board = other.context.new_page()  # stays open beside the workbench
    board.goto(served.url)
    other.bring_to_front()
    cards(other).get_by_role("link", name="Stage").click()
    may_only_look(other)
    look_at_a_terminal(page, other, served)
    look_at_a_run(page, other)

    dialog = share(page)
    dialog.get_by_role("button", name="Make vera an editor").click()
    expect(other.get_by_role("button", name="Run", exact=True)).to_be_visible()
    expect(other.get_by_text("View only")).to_have_count(0)
    expect(cards(board).get_by_role("button", name="Stop")).to_be_visible()
    type_into_editor(other, "print('by vera')\n")
    expect(editor(page)).to_have_text("print('by vera')")
    dialog.get_by_role("button", name="Make vera a viewer").click()
    may_only_look(other)
    dialog.get_by_role("button", name="Done").click()

    stop(page)
    expect(cards(board)).to_contain_text("Stopped")
    expect(cards(board).get_by_role("button", name="Start")).to_be_hidden()
    expect(other.get_by_text("Reconnecting…", exact=True).first).to_be_attached()  # not: what you type is kept
    look_at_what_is_stopped(other, served)

    dialog = share(page)
    dialog.get_by_role("button", name="Remove vera").click()
    expect(dialog).to_contain_text("Nobody but you is in this REPL.")
    expect(other.get_by_role("heading", name="There is no such REPL.")).to_be_visible()
    expect(cards(board)).to_have_count(0)
    repl_id = page.url.rpartition("/")[2]
    for path in ("api/repls/{}", "api/repls/{}/members", "repls/{}/files", "repls/{}/files/main.py", "repls/{}/zip"):
        assert other.request.get(f"{served.url}/{path.format(repl_id)}").status == 404, path


def may_only_look(vera: Page) -> None:
    """At a workbench that runs: nothing is offered that changes something, and nothing is changed."""
    expect(vera.locator("header").get_by_text("View only")).to_be_visible()
    expect(vera.locator(f"{IN_FRONT} .dx-people-look")).to_have_text("Read-only")
    names = ("Run", "Preview", "Share", "New terminal", "Split the terminal", "Close Shell 1", "New file")
    for name in names:
        expect(vera.get_by_role("button", name=name, exact=True)).to_be_hidden()
    expect(vera.get_by_role("separator", name="Width of the preview")).to_have_count(0)
    expect(vera.locator(".dx-saved")).to_have_text("Read-only")
    expect(editor(vera)).to_have_attribute("aria-readonly", "true")
    before = editor(vera).inner_text()
    editor(vera).click()
    vera.keyboard.insert_text("# in vain\n")
    vera.keyboard.press("Control+Enter")  # runs it, for who may
    assert editor(vera).inner_text() == before
    vera.get_by_role("treeitem", name="main.py").click(button="right")
    expect(vera.get_by_role("menuitem")).to_have_text(["Download", "Copy path", "History of this file"])
    vera.keyboard.press("Escape")
    vera.get_by_role("button", name="More", exact=True).click()
    items = ["All commands", "Find in files", "History", "Download as zip", "Your REPLs"]
    expect(vera.locator(".q-menu [role=menuitem]:visible")).to_have_text(items)
    vera.keyboard.press("Escape")


def look_at_a_terminal(harriet: Page, vera: Page, served: Served) -> None:
    to_terminal(harriet)
    enter(harriet, "echo on st''age")
    expect(terminal(vera)).to_contain_text("on stage")
    expect(who(harriet)).to_have_attribute("aria-label", re.compile(r"^Here with you: vera \(may only look\)"))
    to_terminal(vera)
    enter(vera, "touch by-vera")
    expect(notice(vera)).to_contain_text(ONLY_LOOK)
    enter(harriet, "echo aft''erwards")
    expect(terminal(vera)).to_contain_text("afterwards")
    expect(terminal(harriet)).not_to_contain_text("by-vera")
    file = f"{served.url}/repls/{harriet.url.rpartition('/')[2]}/files/by-vera"
    assert vera.request.put(file, data="x", headers={"Origin": served.url}).status == 403
    assert harriet.request.get(file).status == 404


def look_at_a_run(harriet: Page, vera: Page) -> None:
    """Without doing anything but to have the output before them."""
    vera.get_by_role("tab", name="Output").click()
    line = vera.locator(".dx-output-line[role=status]")
    expect(line).to_contain_text("What the program prints shows up here.")
    type_into_editor(harriet, ASKS)
    expect(editor(vera)).to_contain_text("who?")
    run(harriet)
    expect(terminal(vera)).to_contain_text("who?")
    expect(line).to_contain_text("Running")
    expect(harriet.get_by_role("button", name="Stop", exact=True).first).to_be_visible()
    expect(vera.get_by_role("button", name="Stop", exact=True)).to_have_count(0)
    to_terminal(vera)
    enter(vera, "vera")
    expect(notice(vera)).to_contain_text(ONLY_LOOK)
    to_terminal(harriet)
    enter(harriet, "harriet")
    expect(terminal(vera)).to_contain_text("hello harriet")
    expect(line).to_contain_text("Exit code 3")


def look_at_what_is_stopped(vera: Page, served: Served) -> None:
    """In a page that showed it running, and in one that did not: neither starts it."""
    for _ in range(2):
        expect(vera.get_by_role("heading", name="Stage is stopped")).to_be_visible()
        expect(vera.get_by_text("Its owner or an editor can start it.")).to_be_visible()
        shelf(vera).get_by_role("treeitem", name="main.py").click()
        text = shelf(vera).locator(".cm-content")
        expect(text).to_have_text("print('by vera')")
        expect(text).to_have_attribute("aria-readonly", "true")
        text.click()
        vera.keyboard.insert_text("# in vain\n")
        for name in ("Start", "New terminal", "Run"):
            expect(vera.get_by_role("button", name=name, exact=True)).to_be_hidden()
        vera.goto(vera.url)
    api = f"{served.url}/api/repls/{vera.url.rpartition('/')[2]}"
    assert vera.request.post(f"{api}/start", headers={"Origin": served.url}).status == 403
    found = vera.request.get(api).json()
    assert (found["phase"], found["goal"], found["role"]) == ("stopped", "stop", "viewer")
