"""The same bytes in our terminal and in the reference emulator give the same screen, however they are cut."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import given, settings
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home
from tests.components.terminal.cases import CASES, Case
from tests.components.terminal.random_output import OUTPUT
from tests.components.terminal.reference import DEADLINE_S, QUIET, Reference, reference
from tests.components.terminal.screens import ASKING, COLS, ROWS, Screen, screens_at, shown
from tests.components.terminal.serving import Served

EXAMPLES = 60  # 30 ms each
TTY = re.compile(r"(/dev/pts/\d+)\s*ready")
BEGIN = b"\x1b\\\x18\x1b[?1049l\x1bc"  # whatever came before
_FITTED = """([cols, rows]) => {
    for (const { $el, term } of terminals()) {
        const screen = $el.querySelector(".xterm-screen"), box = $el.parentElement;
        box.style.width = `${(cols + 0.4) * screen.offsetWidth / term.cols + 14}px`;  // with the scroll bar
        box.style.height = `${(rows + 0.4) * screen.offsetHeight / term.rows}px`;
    }
    return terminals().every(({ term }) => term.cols === cols && term.rows === rows);
}"""

_STORM = """async () => {
    for (let turn = 0; turn < 50; turn++) {
        for (const { $el } of terminals()) {
            $el.parentElement.style.width = `${200 + (turn * 211) % 700}px`;
            $el.parentElement.style.height = `${100 + (turn * 131) % 300}px`;
        }
        await new Promise(requestAnimationFrame);
    }
}"""


@dataclass
class Emulators:
    """Ours twice, of which the second one gets one byte a message; and the reference. Programs have switched off what
    the PTYs' line discipline does to bytes.
    """

    page: Page
    ours: int
    reference: Reference
    theirs: int
    count: int = 0

    def show(self, sent: bytes) -> list[Screen]:
        """-> both of ours."""
        self.count += 1
        _write(self.ours, BEGIN + sent + _title(self.count))
        return screens_at(self.page, f"case {self.count}")

    def compare(self, sent: bytes) -> tuple[Screen, Screen, Screen]:
        """-> both of ours, and the reference."""
        _write(self.theirs, BEGIN + sent + _title(self.count + 1))
        whole, cut = self.show(sent)
        self.reference.named(f"case {self.count}")
        return whole, cut, self.reference.screen()

    def shown(self) -> list[Screen]:
        """What both of ours show now."""
        return [shown(self.page, at) for at in (0, 1)]

    def fit(self, cols: int = COLS, rows: int = ROWS) -> None:
        self.page.wait_for_function(_FITTED, arg=[cols, rows])

    def until_told(self, cols: int, rows: int) -> None:
        """Until the program is told this size: the agent that tells it may hear of it later than the page."""
        deadline_s = time.monotonic() + DEADLINE_S
        while os.get_terminal_size(self.ours) != (cols, rows):
            assert time.monotonic() < deadline_s, f"the program is told {os.get_terminal_size(self.ours)}"
            time.sleep(0.01)


@contextmanager
def written(path: str) -> Iterator[int]:
    """A PTY's end, opened to write what its program would."""
    tty = os.open(path, os.O_WRONLY | os.O_NOCTTY)
    try:
        yield tty
    finally:
        os.close(tty)


@pytest.fixture(scope="module")
def emulators(browser: Browser, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulators]:
    with at_home(browser, width=1400, height=1000) as page:
        page.goto(f"{served.url}/?twice=1")
        page.evaluate(ASKING)
        expect(page.locator(".dx-terminal[data-state=live]")).to_have_count(2)
        expect(page.locator(".xterm-rows").first).to_contain_text("$")
        page.get_by_role("button", name="focus").click()
        expect(page.locator(".xterm-helper-textarea").first).to_be_focused()
        page.keyboard.type(QUIET)
        page.keyboard.press("Enter")
        expect(page.locator(".xterm-rows").nth(1)).to_contain_text(TTY)
        place = TTY.search(page.locator(".xterm-rows").nth(1).inner_text())
        assert place
        with (
            reference(tmp_path_factory.mktemp("reference")) as theirs,
            written(place[1]) as ours,
            written(theirs.tell("pane_tty")) as other,
        ):
            theirs.until("ready")
            emulators = Emulators(page, ours, theirs, other)
            emulators.fit()
            yield emulators
        terminal = page.locator("#terminal").inner_text()
        httpx.delete(f"{served.url}/repls/r1/terminals/{terminal}", trust_env=False).raise_for_status()


def test_after_a_storm_of_resizes_screen_and_program_have_the_last_size(emulators: Emulators) -> None:
    emulators.show(b"%s\r\n%s\r\n$ " % (100 * b"a", "日".encode() * 55))
    emulators.page.evaluate(_STORM)
    emulators.fit(60, 20)
    emulators.until_told(60, 20)
    wrapped = Screen.of((60 * "a", 40 * "a", 30 * "日", 25 * "日", "$"), (2, 4), height=20)
    assert emulators.shown() == [wrapped, wrapped]
    emulators.fit()
    emulators.until_told(COLS, ROWS)
    before = Screen.of((80 * "a", 20 * "a", 40 * "日", 15 * "日", "$"), (2, 4))
    assert emulators.shown() == [before, before]


def test_screens_are_those_of_the_reference(emulators: Emulators) -> None:
    wrong = [problem for case in CASES for problem in _problems(case, emulators)]
    assert not wrong, "\n\n".join(wrong)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(output=OUTPUT)
def test_screens_of_random_output_are_those_of_the_reference(emulators: Emulators, output: str) -> None:
    _agree(emulators, output)


@pytest.mark.soak
@settings(max_examples=50 * EXAMPLES, deadline=None, database=None)
@given(output=OUTPUT)
def test_screens_of_much_random_output_are_those_of_the_reference(emulators: Emulators, output: str) -> None:
    _agree(emulators, output)


def _agree(emulators: Emulators, output: str) -> None:
    whole, cut, theirs = emulators.compare(output.encode())
    assert whole == theirs, f"ours\n{whole}\nthe reference\n{theirs}"
    assert whole == cut, f"whole\n{whole}\ncut into bytes\n{cut}"


def _problems(case: Case, emulators: Emulators) -> Iterator[str]:
    sent = case.sent.encode(errors="surrogateescape")
    if case.shows is None:
        whole, cut, theirs = emulators.compare(sent)
        if whole != theirs:
            yield f"{case.name}: ours\n{whole}\nthe reference\n{theirs}"
    else:
        whole, cut = emulators.show(sent)
        assert case.cursor
        by_hand = Screen.of(case.shows, case.cursor)
        if whole != by_hand:
            yield f"{case.name}: ours\n{whole}\nexpected\n{by_hand}\n{case.why}"
    if cut != whole:
        yield f"{case.name}: cut into bytes\n{cut}\nwhole\n{whole}"


def _title(number: int) -> bytes:
    return b"\x1b]2;case %d\x07" % number


def _write(tty: int, data: bytes) -> None:
    for at in range(0, len(data), 1024):  # the PTY takes no more at once
        os.write(tty, data[at : at + 1024])
