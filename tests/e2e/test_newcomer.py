"""The first hours of somebody new, in terminals: what they run, and what happens to their network and their server."""

import re
import zipfile
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import PATIENCE_MS, opened
from tests.e2e.serving import Served
from tests.e2e.test_crash import BACK_MS, started
from tests.e2e.workbench import PROMPT, come_in, create, editor, screen, sign_up, terminal
from tests.network import Network
from tests.ports import free_port

pytestmark = [pytest.mark.xdist_group("newcomer"), pytest.mark.waits, pytest.mark.timeout(400)]

OUTAGE_S: Final = 120
POLL_MS: Final = 100
COUNTER: Final = """\
import itertools, signal, time
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(True))  # not in the middle of a line
for number in itertools.count(1):
    print(f"<{number}>", flush=True)
    time.sleep(0.05)
    if asked:
        break
open("last", "w").write(str(number))
print("is written")
"""
METADATA: Final = "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"
WHEEL: Final = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def make_wheel(folder: Path) -> None:
    """Of a package `greeting`, which pip takes as any other."""
    files = {
        "greeting.py": "print('installed and imported')\n",
        "greeting-1.0.dist-info/METADATA": METADATA,
        "greeting-1.0.dist-info/WHEEL": WHEEL,
    }
    record = "".join(f"{name},,\n" for name in [*files, "greeting-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in {**files, "greeting-1.0.dist-info/RECORD": record}.items():
            wheel.writestr(name, content)


def shows(page: Page, expected: list[str]) -> None:
    """Until that is the screen, to the character."""
    for _ in range(PATIENCE_MS // POLL_MS):
        if screen(page) == expected:
            return
        page.wait_for_timeout(POLL_MS)
    assert screen(page) == expected


def enter(page: Page, line: str) -> None:
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def says(page: Page, *parts: str) -> None:
    for part in parts:
        expect(terminal(page)).to_contain_text(part)


def to_terminal(page: Page) -> None:
    """With the keyboard."""
    expect(page.locator(".dx-tabpanel:not(.dx-behind) .dx-terminal[data-state=live]")).to_be_attached(timeout=BACK_MS)
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()


def edit_with_vim(page: Page) -> None:
    enter(page, "vim main.py")
    says(page, '"main.py" 14L')
    page.keyboard.type("dGiprint(6 * 7)\nprint('from vim')")
    page.keyboard.press("Escape")
    rest = ["~"] * (len(screen(page)) - 3)
    ruler = " " * 112 + "2,17          All"
    shows(page, ["print(6 * 7)", "print('from vim')", *rest, ruler])
    enter(page, ":wq")
    expect(editor(page)).to_have_text("print(6 * 7)print('from vim')")
    enter(page, "python3 main.py")
    says(page, "42")


def install_a_package(page: Page, workspace: Path) -> None:
    make_wheel(workspace)
    enter(page, "pip install --no-index --find-links . greeting && python3 -m greeting")
    says(page, "Successfully installed greeting-1.0", "installed and imported")


def stop_a_flood(page: Page) -> None:
    enter(page, "yes flood")
    says(page, "floodfloodflood")
    page.keyboard.press("Control+c")
    expect(terminal(page)).to_contain_text(re.compile(r"\^C.*\$"))  # what is typed before is thrown away
    enter(page, "clear; echo af''terwards")
    says(page, "afterwards")


def lose_the_network(page: Page, workspace: Path, network: Network) -> None:
    """While a program writes lines; none of them is missing afterwards, and none is there twice."""
    (workspace / "count.py").write_text(COUNTER)
    # A terminal throws away at Ctrl-C what was printed and not read yet, unless it is told not to (termios(3), NOFLSH).
    enter(page, "stty noflsh; python3 count.py")
    says(page, "<10>")
    network.away(OUTAGE_S)
    to_terminal(page)
    page.keyboard.press("Control+c")
    says(page, "is written")
    found = [line.removeprefix("^C") for line in screen(page, scrollback=True)]
    written = found[found.index("<1>") : found.index("is written")]
    assert written == [f"<{number}>" for number in range(1, int((workspace / "last").read_text()) + 1)]


def split_with_tmux(page: Page) -> list[str]:
    """An editor on the left and a shell on the right -> the screen."""
    enter(page, "clear; tmux new 'vim main.py' \\; set status off \\; split-window -h")
    says(page, "print(6 * 7)", "│", "2,17")
    expect(terminal(page)).to_contain_text(PROMPT)
    enter(page, "clear; echo on the ri''ght")
    says(page, "on the right")
    return screen(page)


def test_the_first_hours(page: Page, browser: Browser, tmp_path: Path) -> None:
    server_port, port = free_port(), free_port()
    with Network(port, server_port=server_port).running() as network:
        url = network.url
        served = Served(url, "", tmp_path / "data")
        with started(tmp_path, server_port, url) as server:
            sign_up(page, served, "ada")
            create(page, "Python", "First")
            address = page.url
            workspace = tmp_path / "data" / "workspaces" / address.rpartition("/")[2]
            to_terminal(page)
            expect(terminal(page)).to_contain_text(PROMPT)
            edit_with_vim(page)
            install_a_package(page, workspace)
            stop_a_flood(page)
            lose_the_network(page, workspace, network)
            split = split_with_tmux(page)
            server.kill()
            server.wait()
        expect(page.get_by_text("Reconnecting… what you type is kept").last).to_be_visible()
        page.evaluate("window.isFirstLoad = true")
        with started(tmp_path, server_port, url), opened(browser, viewport=page.viewport_size) as other:
            page.wait_for_function("!window.isFirstLoad", timeout=BACK_MS)
            to_terminal(page)
            says(page, "on the right")
            shows(page, split)
            other.goto(f"{url}/sign-in")
            come_in(other, "ada")
            other.goto(address)
            to_terminal(other)
            says(other, "on the right")
            shows(other, split)
            for typing, watching in ((page, other), (other, page)):
                to_terminal(typing)
                enter(typing, f"echo $((5{len(split)} + 1))")
                says(watching, f"5{len(split)}")
            shows(other, screen(page))
