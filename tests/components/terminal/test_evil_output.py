"""Whatever a program writes stays output: it reaches neither clipboard nor page, and nothing of it is typed."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, eventually, rows
from tests.components.terminal.evil import EVIL, LINKS
from tests.components.terminal.serving import Served

# What a terminal answers: attributes, status and place, modes, sizes; colours; settings. No line ever ends in it.
REPLY = re.compile(
    rb"\x1b\[[?>=]?[\d;]*\$?[cnRyux]"
    rb"|\x1b\](?:4;\d+|1[012]);rgb:[\da-f/]+(?:\x1b\\|\x07)"
    rb"|\x1bP[01]\$r[\d;]*(?:[mr]| q|\"[pq])?\x1b\\"
)
REPLIES_BYTES = 60_000  # to 2,000 questions at once what they are, and 500 times a colour


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    asked: list[str] = []
    with at_home(browser, width=1000, height=700) as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        with at_prompt(page, served):
            yield page
    assert not asked


def test_evil_output_stays_output(page: Page, served: Served) -> None:
    page.evaluate("navigator.clipboard.writeText('mine')")
    (served.workspace / "evil").write_bytes(b"\n".join(EVIL) + b"\n")
    enter(page, "stty -icanon -echo; cat evil; printf '\\033[c\\033]2;do''ne\\007'; cat > replies")
    expect(page.locator("#title")).to_have_text("done")
    page.keyboard.type("!")
    replies = served.workspace / "replies"
    eventually(page, lambda: replies.exists() and replies.read_bytes().endswith(b"!"))
    typed = replies.read_bytes()[:-1]
    assert REPLY.sub(b"", typed) == b""
    assert len(typed) < REPLIES_BYTES
    page.keyboard.press("Control+c")
    enter(page, "stty sane; clear; echo al''ive")
    expect(rows(page)).to_contain_text("alive")
    assert page.evaluate("navigator.clipboard.readText()") == "mine"
    assert page.locator("script:has-text('alert(1)'), img[src='x']").count() == 0
    assert not (served.workspace / "stolen").exists()
    assert len(page.context.pages) == 2  # the browser's blank one and this


def test_links_of_programs_open_pages_only(page: Page, served: Served) -> None:
    opened: list[str] = []
    page.expose_function("opened", lambda address: opened.append(address))
    page.evaluate("void (window.open = (address) => void window.opened(address))")
    (served.workspace / "links").write_bytes(
        b"\x1bc" + b"\r\n".join(LINKS[:-1]) + b"\r\n\x1b]8;;https://example.com/\x07good\x1b]8;;\x07\r\n"
    )
    enter(page, "cat links")
    expect(rows(page)).to_contain_text("good")
    for at in range(len(LINKS)):
        box = page.locator(".xterm-rows > div").nth(at).bounding_box()
        assert box
        page.mouse.move(box["x"] + 10, box["y"] + box["height"] / 2)
        if at == len(LINKS) - 1:
            page.wait_for_selector(".xterm-cursor-pointer")
            expect(page.locator(".xterm")).to_have_attribute("title", "https://example.com/")  # whatever its text says
        page.mouse.click(box["x"] + 10, box["y"] + box["height"] / 2)
    eventually(page, lambda: bool(opened))
    assert opened == ["https://example.com/"]


def test_a_title_is_what_can_be_read_of_it(page: Page) -> None:
    enter(page, r"printf '\033]0;<b>na''me</b>\342\200\256gnp.\342\201\246\007'")
    expect(page.locator("#title")).to_have_text("<b>name</b>gnp.")
    assert page.locator("#title b").count() == 0
