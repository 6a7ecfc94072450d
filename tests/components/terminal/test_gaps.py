"""What a person sees behind output that they missed."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, rows
from tests.components.terminal.serving import Served

GAP_MJS = Path(__file__).parents[3] / "components/terminal/gap.mjs"
ACK = 3
SHOWN = [
    ("日本語".encode()[1:], "本語"),
    (b"31mred\x1b[0m", "red\x1b[0m"),
    (b"?25l12 files", "12 files"),
    (b";7Hhere", "here"),
    (b"ser@host: ~\x07$ ls", "$ ls"),
    (b"it of a title\x1b\\$ ls", "$ ls"),
    (b"half a line\r\nwhole\x07", "half a line\r\nwhole\x07"),
    (b"2345\r\n2346", "2345\r\n2346"),
    (b"\x1b[1mbold", "\x1b[1mbold"),
    (b"", ""),
]


def test_the_rest_of_what_was_cut_is_not_shown() -> None:
    script = """import(process.argv[1]).then(({ understood }) => console.log(JSON.stringify(
        JSON.parse(process.argv[2]).map((bytes) => new TextDecoder().decode(understood(Uint8Array.from(bytes)))))))"""
    cut = json.dumps([list(data) for data, _ in SHOWN])
    said = subprocess.run(["/usr/bin/node", "-e", script, GAP_MJS, cut], check=True, capture_output=True).stdout
    assert json.loads(said) == [shown for _, shown in SHOWN]


# More than the ring holds, then more than a screenful for who is slow, in which nothing but the last line is drawn.
BUSY = """
for i in range(3000) | redraw! | endfor
for i in range(600) | redraw | echo repeat(i % 10, 70) | endfor
redraw | echo "ready"
"""


class Slow:
    """A page whose acknowledgements stay away while it `waits`."""

    def __init__(self, page: Page) -> None:
        self.waits = False
        self._held: list[bytes] = []
        page.route_web_socket("**/terminals/**", self._answer)

    def _answer(self, socket: WebSocketRoute) -> None:
        self._server = socket.connect_to_server()
        socket.on_message(self._sent)

    def _sent(self, message: str | bytes) -> None:
        if self.waits and isinstance(message, bytes) and message[0] == ACK:
            self._held.append(message)
        else:
            self._server.send(message)

    def catch_up(self) -> None:
        self.waits = False
        for message in self._held[-1:]:
            self._server.send(message)


@pytest.fixture
def ada(browser: Browser, served: Served) -> Iterator[Page]:
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        yield page


def test_who_skipped_into_a_full_screen_program_sees_its_screen_and_the_shell_afterwards(
    served: Served, ada: Page
) -> None:
    (served.workspace / "text").write_text("".join(f"line {n} of the text\n" for n in range(1, 100)))
    (served.workspace / "busy.vim").write_text(BUSY)
    ben = ada.context.new_page()
    slow = Slow(ben)
    ben.goto(f"{served.url}/?terminal={ada.locator('#terminal').inner_text()}")
    expect(rows(ben)).to_contain_text("$")
    ada.bring_to_front()
    slow.waits = True
    enter(ada, "vim -u NONE -N -S busy.vim +40 text")
    expect(rows(ada)).to_contain_text("ready")
    expect(rows(ada)).to_contain_text("line 40 of the text")
    ada.keyboard.type("ihere: ")
    expect(rows(ada)).to_contain_text("here: line 40")
    expect(rows(ben)).not_to_contain_text("line 40")
    slow.catch_up()
    expect(ben.get_by_text("bytes of output are missing here")).to_be_visible()
    expect(ben.locator(".dx-terminal[data-screen=alternate]")).to_be_attached()
    expect(rows(ben)).to_contain_text("here: line 40")
    expect(rows(ben)).to_contain_text("-- INSERT --")
    _are_the_same(ada, ben)
    ada.keyboard.press("Escape")
    enter(ada, ":q!")
    expect(ada.locator(".dx-terminal[data-screen=normal]")).to_be_attached()
    expect(rows(ada)).to_contain_text(re.compile(r"\$\s*$"))
    enter(ada, "echo ba''ck")
    expect(rows(ada)).to_contain_text("back")
    expect(rows(ben)).to_contain_text("back")
    expect(rows(ben)).not_to_contain_text("here:")
    expect(ben.locator(".dx-terminal[data-screen=normal]")).to_be_attached()


def _are_the_same(one: Page, other: Page) -> None:
    for _ in range(200):
        if rows(one).inner_text() == rows(other).inner_text():
            return
        one.wait_for_timeout(20)
    assert rows(one).inner_text() == rows(other).inner_text()


def test_who_skipped_out_of_one_in_the_middle_of_a_character_sees_the_shell(served: Served, ada: Page) -> None:
    (served.workspace / "leave.py").write_text(
        "import sys\n"
        "print('\\x1b[?1049h\\x1b[?25l\\x1b(0\\x1b[1;5r\\x1b[44m' + '日本\\x1b[31m語\\x1b[44m' * 30000, end='')\n"
        "print('\\x1b[r\\x1b(B\\x1b[?25h\\x1b[?1049l\\x1b[0m' + '語日本' * 90000 + '\\r\\nthe end')\n"
    )
    ben = ada.context.new_page()
    slow = Slow(ben)
    ben.goto(f"{served.url}/?terminal={ada.locator('#terminal').inner_text()}")
    expect(rows(ben)).to_contain_text("$")
    ada.bring_to_front()
    slow.waits = True
    enter(ada, "python3 leave.py; python3 leave.py")
    expect(rows(ada)).to_contain_text("the end")
    expect(rows(ben)).not_to_contain_text("the end")
    slow.catch_up()
    expect(rows(ben)).to_contain_text("the end")
    expect(ben.locator(".dx-terminal[data-screen=alternate]")).to_have_count(0)
    shown = rows(ben).inner_text()
    assert "\ufffd" not in shown
    assert "31m" not in shown
