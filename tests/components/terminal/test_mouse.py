"""The mouse belongs to the program that asks for it, and to nobody when that has ended."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, rows
from tests.components.terminal.serving import Served

# Shows what it reads, up to a q; SGR reports (1006) of buttons and of movement with one held (1002).
READER = r"""
import os, sys, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b"\x1b[?1002;1006hready\r\n")
read = b""
while not read.endswith(b"q"):
    read += os.read(0, 1000)
os.write(1, b"\x1b[?1002;1006l" + repr(read).encode() + b" ended\r\n")
termios.tcsetattr(0, termios.TCSAFLUSH, before)
"""


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        yield page


def test_a_program_has_the_mouse_until_it_ends(page: Page, served: Served) -> None:
    (served.workspace / "mouse.py").write_text(READER)
    enter(page, "clear; python3 mouse.py")
    expect(rows(page)).to_contain_text("ready")
    _use_mouse(page)
    page.keyboard.type("q")
    expect(rows(page)).to_contain_text("ended")
    said = rows(page).inner_text().replace("\n", "")
    # Left pressed at 5;3, dragged to 9;4, let go; the wheel up and down; right pressed and let go.
    reports = ["<0;5;3M", "<32;9;4M", "<0;9;4m", "<64;9;4M", "<65;9;4M", "<2;9;4M", "<2;9;4m"]
    assert re.findall(r"\\x1b\[(<\d+;\d+;\d+[Mm])", said) == reports
    _use_mouse(page)
    page.keyboard.press("Escape")  # the menu
    enter(page, "clear; echo us''able")
    expect(rows(page)).to_have_text(re.compile(r"^\s*usable\s*\$\s*$"))


def _use_mouse(page: Page) -> None:
    page.mouse.move(*_cell(page, 5, 3))
    page.mouse.down()
    page.mouse.move(*_cell(page, 9, 4))
    page.mouse.up()
    page.mouse.wheel(0, -120)
    page.mouse.wheel(0, 120)
    page.mouse.click(*_cell(page, 9, 4), button="right")


def _cell(page: Page, column: int, row: int) -> tuple[float, float]:
    """The middle of it, from 1."""
    left, top, width, height, cols, lines = page.evaluate(
        """() => {
            const { term } = getElement(Number(document.querySelector(".dx-terminal").id.slice(1)));
            const { left, top, width, height } = document.querySelector(".xterm-screen").getBoundingClientRect();
            return [left, top, width, height, term.cols, term.rows];
        }"""
    )
    return left + (column - 0.5) * width / cols, top + (row - 0.5) * height / lines
