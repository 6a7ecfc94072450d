"""Places in files that programs name open the editor."""

from collections.abc import Iterator
from itertools import count

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, rows
from tests.components.terminal.serving import Served


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Iterator[Page]:
    for path in ("a.py", "main.c", "src/deep.js", "wïde 日本.py", "日本/日本.c"):
        (served.workspace / path).parent.mkdir(exist_ok=True)
        (served.workspace / path).write_text("")
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        yield page


NUMBERS = count()


def show(page: Page, served: Served, line: str) -> None:
    """From the top of the screen on, and a number that was not there before."""
    number = f"<{next(NUMBERS)}>"
    (served.workspace / "shown.txt").write_text(f"{line}\n{number}\n")
    enter(page, "clear; cat shown.txt")
    expect(rows(page)).to_contain_text(number)


def point(page: Page, word: str, row: int = 0) -> tuple[float, float]:
    """At a word of a row, over which the mouse is then."""
    at: list[float] = page.evaluate(
        """([word, row]) => {
            const { term } = getElement(Number(document.querySelector(".dx-terminal").id.slice(1)));
            const cell = term.buffer.active.getNullCell();
            const line = term.buffer.active.getLine(term.buffer.active.viewportY + row);
            let text = "", columns = [];
            for (let x = 0; x < line.length; x++) {
                if (!line.getCell(x, cell).getWidth()) continue;
                for (const unit of (cell.getChars() || " ").split("")) { text += unit; columns.push(x); }
            }
            const column = columns[text.indexOf(word)] + 1;
            const box = document.querySelector(".xterm-screen").getBoundingClientRect();
            return [box.x + column * box.width / term.cols, box.y + (row + 0.5) * box.height / term.rows];
        }""",
        [word, row],
    )
    page.mouse.move(at[0], at[1] + 200)  # a row's links are looked for when the mouse comes to it
    page.mouse.move(*at)
    return at[0], at[1]


@pytest.mark.parametrize(
    ("line", "word", "opened"),
    [
        ('  File "a.py", line 3, in <module>', "a.py", "a.py 3 None"),
        ('  File "WORKSPACE/wïde 日本.py", line 12', "本.py", "wïde 日本.py 12 None"),
        ("main.c:3:5: error: expected ;", "main.c", "main.c 3 5"),
        ("日本/日本.c:4: warning", ".c:4", "日本/日本.c 4 None"),
        ("    at fn (WORKSPACE/src/deep.js:1:2)", "deep", "src/deep.js 1 2"),
        ("    at file://WORKSPACE/src/deep.js:7:9", "deep", "src/deep.js 7 9"),
        ("a.py:12:    print(1)", "12", "a.py 12 None"),
        ("  --> src/deep.js:8:1", "deep", "src/deep.js 8 1"),
        ("deep.js:9: AssertionError", "deep", "src/deep.js 9 None"),  # it ran in a folder that nobody told
        ("src/deep.js(5,6): error TS1005", "deep", "src/deep.js 5 6"),
        (f"{'x' * 30} {'./' * 60}main.c:6:1: it is wrapped", "./", "main.c 6 1"),
    ],
)
def test_a_place_in_a_file_is_a_link(page: Page, served: Served, line: str, word: str, opened: str) -> None:
    show(page, served, line.replace("WORKSPACE", str(served.workspace)))
    at = point(page, word)
    page.wait_for_selector(".xterm-cursor-pointer")
    if "main" in line:
        page.keyboard.down("Control")  # as well as without
    page.mouse.click(*at)
    page.keyboard.up("Control")
    expect(page.locator("#opened")).to_have_text(opened)


def test_what_is_no_file_of_the_workspace_is_no_link(page: Page, served: Served) -> None:
    show(page, served, "/etc/passwd:1 ../../etc/passwd:1 gone.py:3 12:30:45 http://127.0.0.1:8080 main.c:2")
    for word in ("/etc", "../..", "gone", "12:30"):
        point(page, word)
        expect(page.locator(".xterm-cursor-pointer")).to_have_count(0)
    point(page, "main.c")  # while these were asked for in vain
    page.wait_for_selector(".xterm-cursor-pointer")


def test_the_keyboard_opens_them_too(page: Page, served: Served) -> None:
    show(page, served, "main.c:1:1: first\nhttps://example.org/x.\na.py:2: second")
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_role("menuitem")).to_have_text(["a.py:2", "https://example.org/x", "main.c:1"])
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("#opened")).to_have_text("main.c 1 1")
    enter(page, "clear; echo no''thing")
    expect(rows(page)).to_contain_text("nothing")
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_text("No file with a line")).to_be_visible()


def test_the_folder_that_a_shell_tells_counts(page: Page, served: Served) -> None:
    for folder in ("one", "two"):
        (served.workspace / folder).mkdir()
        (served.workspace / folder / "same.py").write_text("")
    show(page, served, f"\033]7;file://host{served.workspace}/two\033\\same.py:5")
    at = point(page, "same")
    page.wait_for_selector(".xterm-cursor-pointer")
    page.mouse.click(*at)
    expect(page.locator("#opened")).to_have_text("two/same.py 5 None")
