"""Programs that use all of a terminal, in a real sandbox: what they show, and that the shell's screen is as before."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, terminal

DEBUGGED = "def twice(n):\n    m = n * 2\n    return m\n\nprint(twice(21))\n"


def test_programs_use_all_of_a_terminal(page: Page, served: Served) -> None:
    arrive(page, served, "programmer", "Programs")
    _at_prompt(page)
    _environment(page)
    _vim(page)
    _less(page)
    _tmux(page)
    _htop(page)
    _python(page)
    _node(page)
    _pdb(page)
    _killed_with_everything_left_on(page)


def _at_prompt(page: Page) -> None:
    expect(terminal(page)).to_contain_text(re.compile(r"[$#] *$"))
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()


def _enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def _shows(page: Page, *texts: str | re.Pattern[str]) -> None:
    for text in texts:
        expect(terminal(page)).to_contain_text(text)


def _alternate(page: Page, *, shown: bool) -> None:
    expect(page.locator(".dx-tabpanel:not(.dx-behind) .dx-terminal")).to_have_attribute(
        "data-screen", "alternate" if shown else "normal"
    )


def _environment(page: Page) -> None:
    _enter(page, "clear; echo $TERM $COLORTERM $(locale charmap) $(tput colors) $(python3 -c 'print(len(\"é日\"))')")
    _shows(page, "xterm-256color truecolor UTF-8 256 2")


def _vim(page: Page) -> None:
    _enter(page, "clear; echo be''fore; vim -u NONE poem.txt")
    _alternate(page, shown=True)
    _shows(page, re.compile(r'"poem.txt" \[New( File)?\]'), "~")
    page.keyboard.type("iroses\nviolets 日本")
    _shows(page, re.compile("roses *violets 日本 *~"))
    page.keyboard.press("Escape")
    _enter(page, ":wq")
    _alternate(page, shown=False)
    _shows(page, "before")
    expect(terminal(page)).not_to_contain_text("violets")
    _enter(page, "clear; cat poem.txt")
    _shows(page, re.compile("roses *violets 日本"))


def _less(page: Page) -> None:
    _enter(page, "clear; echo be''fore; seq 500 > numbers; less numbers")
    _alternate(page, shown=True)
    _shows(page, "numbers")
    page.keyboard.press("Space")
    expect(terminal(page)).not_to_contain_text(re.compile("^1 *2 *3 *4"))
    page.keyboard.type("/^444")
    page.keyboard.press("Enter")
    _shows(page, re.compile("^ *444 *445 *446"))
    page.keyboard.type("q")
    _alternate(page, shown=False)
    _shows(page, "before")


def _tmux(page: Page) -> None:
    _enter(page, "clear; tmux -f /dev/null new -s one")
    _alternate(page, shown=True)
    _shows(page, "[one]")
    _enter(page, "echo le''ft")
    _shows(page, "left")
    page.keyboard.press("Control+b")
    page.keyboard.type("%")
    _shows(page, "│")
    _enter(page, "echo ri''ght")
    _shows(page, "left", "right")
    page.keyboard.press("Control+b")
    page.keyboard.type("d")
    _alternate(page, shown=False)
    _shows(page, "[detached (from session one)]")
    _enter(page, "clear; tmux attach")
    _shows(page, "left", "right", "│")
    page.keyboard.press("Control+b")
    page.keyboard.type("d")
    _alternate(page, shown=False)
    _enter(page, "clear; tmux kill-server")


def _htop(page: Page) -> None:
    _enter(page, "clear; htop")
    _alternate(page, shown=True)
    _shows(page, "Tasks:", "Load average:", "F10")
    _click(page, "Help")  # its program was told where
    _shows(page, re.compile("htop [0-9.]+ - "))
    page.keyboard.type("q")
    _shows(page, "Tasks:")
    page.keyboard.press("F10")
    _alternate(page, shown=False)


def _click(page: Page, word: str) -> None:
    place = terminal(page).get_by_text(word, exact=False).last.bounding_box()
    assert place
    page.mouse.click(place["x"] + 5, place["y"] + place["height"] / 2)


def _python(page: Page) -> None:
    _enter(page, "clear; python3 -q")
    _shows(page, ">>>")
    _enter(page, "for n in range(2):")
    _enter(page, "    print('n', n, 'é日')")
    page.keyboard.press("Enter")
    _shows(page, re.compile("n 0 é日 *n 1 é日 *>>>"))
    _enter(page, "6*7")
    _shows(page, re.compile("42 *>>>"))
    page.keyboard.press("ArrowUp")
    page.keyboard.type("+100")
    page.keyboard.press("Enter")
    _shows(page, "142")
    page.keyboard.press("Control+d")


def _node(page: Page) -> None:
    _enter(page, "clear; node")
    _shows(page, "Welcome to Node.js")
    _enter(page, "[1, 2].map((n) => {")
    _enter(page, "return 'n' + n })")
    _shows(page, "[ 'n1', 'n2' ]")
    page.keyboard.press("Control+d")


def _pdb(page: Page) -> None:
    _enter(page, f"clear; printf {DEBUGGED!r} > debugged.py; python3 -m pdb debugged.py")
    _shows(page, "(Pdb)")
    _enter(page, "b 3")
    _shows(page, "Breakpoint 1 at")
    _enter(page, "c")
    _shows(page, "-> return m")
    _enter(page, "p m")
    _shows(page, "42")
    _enter(page, "q")


def _killed_with_everything_left_on(page: Page) -> None:
    modes = (
        r"\033[?1049h\033[?1000h\033[?1002h\033[?1003h\033[?1006h\033[?1h\033=\033[?25l\033[4h\033[31m\033[2;3r\033(0"
    )
    _enter(page, f"clear; echo be''fore; sh -c \"printf '{modes}'; kill -9 \\$\\$\"")
    _shows(page, re.compile(r"before *\S*[$#] *$"))
    _alternate(page, shown=False)
    _enter(page, "clear; echo us''able")
    _shows(page, re.compile(r"^ *usable *\S*[$#] *$"))
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
    page.keyboard.type("# typed")
    _shows(page, re.compile(r"[$#] # typed *$"))  # and nothing of the click
