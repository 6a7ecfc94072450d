"""Programs that use all of a terminal, in a real sandbox: what they show, and that the shell's screen is as before.

But for htop, whose figures are those of the moment, whole screens are those of the reference emulator.
"""

import re

from playwright.sync_api import Page, expect

from tests.e2e.beside import Beside
from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, terminal

DEBUGGED = "def twice(n):\n    m = n * 2\n    return m\n\nprint(twice(21))\n"
# Prompts and a status line without host names and clocks.
TMUX_OPTIONS = r"set -g default-command sh\nset -g status-right -\n"
_PROMPT = re.compile(r"[$#] *$")


def test_programs_use_all_of_a_terminal(page: Page, served: Served) -> None:
    arrive(page, served, "programmer", "Programs")
    _at_prompt(page)
    _environment(page)
    both = Beside(page, served)
    _vim(page, both)
    _less(page, both)
    _tmux(page, both)
    _htop(page)
    _python(page, both)
    _node(page, both)
    _pdb(page, both)
    _killed_with_everything_left_on(page)


def _begin(page: Page, both: Beside, command: str) -> None:
    """The same program here and in the reference, on a screen where something was before."""
    _shows(page, _PROMPT)
    both.begin()
    both.type(f"clear; echo be''fore; {command}\n")


def _at_prompt(page: Page) -> None:
    _shows(page, _PROMPT)
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


def _vim(page: Page, both: Beside) -> None:
    _begin(page, both, "vim -u NONE -n poem.txt")  # without a swap file, for it is edited twice
    both.same("~", '"poem.txt" [New')
    both.type("iroses\nviolets 日本")
    both.same("roses", "violets 日本")
    both.resize(900, 560)
    both.same("roses", "violets 日本")
    both.type("\n" + 9 * "a line longer than the window is wide ")
    both.same("violets 日本")
    both.resize(1280, 800)
    both.same("violets 日本")
    both.press("Escape")
    both.same("violets 日本")
    _enter(page, ":wq")
    _alternate(page, shown=False)
    _shows(page, "before")
    expect(terminal(page)).not_to_contain_text("violets")
    _enter(page, "clear; cat poem.txt")
    _shows(page, re.compile("roses *violets 日本"))


def _less(page: Page, both: Beside) -> None:
    _enter(page, "seq 500 > numbers")
    _begin(page, both, "less numbers")
    both.same("numbers")
    both.press("Space")
    both.same(":")
    both.type("/^444\n")
    both.same("444", "446")
    _enter(page, "q")
    _alternate(page, shown=False)
    _shows(page, "before")


def _tmux(page: Page, both: Beside) -> None:
    _enter(page, f"printf '{TMUX_OPTIONS}' > tmux.conf")
    _begin(page, both, "tmux -L $(tty | tr / _) -f tmux.conf new -s one")  # a server of its own for each
    both.same("[one] 0:sh*")
    both.type("echo le''ft\n")
    both.same("left")
    both.press("Control+b")
    both.type("%")
    both.same("left", "│")
    both.type("echo ri''ght\n")
    both.same("left", "right", "│")
    both.press("Control+b")
    both.type("d")
    _alternate(page, shown=False)
    _shows(page, "[detached (from session one)]")
    _enter(page, "clear; tmux -L $(tty | tr / _) attach")
    _shows(page, "left", "right", "│")
    page.keyboard.press("Control+b")
    page.keyboard.type("d")
    _alternate(page, shown=False)
    _enter(page, "clear; tmux -L $(tty | tr / _) kill-server")


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


def _python(page: Page, both: Beside) -> None:
    _begin(page, both, "python3 -q")
    both.same(">>>")
    both.type("for n in range(2):\n    print('n', n, 'é日')\n\n")
    both.same("n 0 é日", "n 1 é日")
    both.type("6*7\n")
    both.same("42")
    both.press("ArrowUp")
    both.type("+100\n")
    both.same("142")
    page.keyboard.press("Control+d")


def _node(page: Page, both: Beside) -> None:
    _begin(page, both, "node")
    both.same("Welcome to Node.js", ">")
    both.type("[1, 2].map((n) => {\nreturn 'n' + n })\n")
    both.same("[ 'n1', 'n2' ]")
    page.keyboard.press("Control+d")


def _pdb(page: Page, both: Beside) -> None:
    _shows(page, _PROMPT)  # until node has gone it may take what is typed
    _enter(page, f"printf {DEBUGGED!r} > debugged.py")
    _begin(page, both, "python3 -m pdb debugged.py")
    both.same("(Pdb)")
    both.type("b 3\n")
    both.same("Breakpoint 1 at")
    both.type("c\n")
    both.same("-> return m")
    both.type("p m\n")
    both.same("42")
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
