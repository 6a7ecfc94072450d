"""The reference emulator in the very sandbox of a REPL: tmux, whose programs are given the same keys as ours."""

import json
import time
from typing import Final

from playwright.sync_api import Page

from tests.e2e.serving import Served

DEADLINE_S: Final = 60
# Its own line is off, so that the whole screen is the program's. What is typed runs in a shell that knows of no tmux.
OPTIONS: Final = """
set -g default-terminal xterm-256color
set -g default-command "exec env -u TMUX -u TMUX_PANE COLORTERM=truecolor bash"
set -g status off
set -s escape-time 0
"""
TMUX: Final = ("tmux", "-L", "reference", "-u")
NAMES: Final = {"Escape": "Escape", "Space": "Space", "Enter": "Enter", "ArrowUp": "Up"}
_ROWS: Final = """() => Array.from(
    document.querySelectorAll(".dx-tabpanel:not(.dx-behind) .dx-terminal:not(.dx-recorded-screen) .xterm-rows > div"),
    (row) => row.textContent.replaceAll("\\u00a0", " ").trimEnd())"""
_SIZE: Final = """() => {
    const { id } = document.querySelector(".dx-tabpanel:not(.dx-behind) .dx-terminal:not(.dx-recorded-screen)");
    const { term } = getElement(Number(id.slice(1)));
    return [term.cols, term.rows];
}"""


class Beside:
    """The terminal in front, and the reference: what is typed into one is typed into the other."""

    def __init__(self, page: Page, served: Served) -> None:
        self._page = page
        self._exec = f"{served.url}/repls/{page.url.rpartition('/')[2]}/exec"
        self._headers = {"Origin": served.url}
        cols, rows = page.evaluate(_SIZE)
        begun = f"cat > /tmp/reference.conf; {' '.join(TMUX)} -f /tmp/reference.conf new-session -d -x {cols} -y {rows}"
        self._run(["sh", "-c", begun], OPTIONS)

    def begin(self) -> None:
        """Another program: whatever is left of the last one in the reference is gone."""
        self._tmux("respawn-pane", "-k", ";", "clear-history")

    def type(self, text: str) -> None:
        """A key a character; a line end is Enter."""
        self._page.keyboard.type(text)
        keys: list[str] = []
        for at, line in enumerate(text.split("\n")):
            keys += ["send-keys", "Enter", ";"] if at else []
            keys += ["send-keys", "-l", "--", line, ";"] if line else []
        self._tmux(*keys[:-1])

    def press(self, key: str) -> None:
        """`key` as Playwright calls it."""
        self._page.keyboard.press(key)
        self._tmux("send-keys", NAMES.get(key) or key.replace("Control+", "C-"))

    def resize(self, width: int, height: int) -> None:
        """The browser's window, and the reference as what fits into it."""
        before = self._page.evaluate(_SIZE)
        self._page.set_viewport_size({"width": width, "height": height})
        self._page.wait_for_function(f"before => String(({_SIZE})()) !== String(before)", arg=before)
        self._fit()

    def _fit(self) -> None:
        cols, rows = self._page.evaluate(_SIZE)
        self._tmux("resize-window", "-x", str(cols), "-y", str(rows))

    def same(self, *texts: str) -> None:
        """Wait until both show these texts, and the same in every row."""
        ends_at = time.monotonic() + DEADLINE_S
        while True:
            ours, theirs = self._page.evaluate(_ROWS), self._shown()
            if ours == theirs and all(any(text in row for row in ours) for text in texts):
                return
            assert time.monotonic() < ends_at, "\n".join(["ours", *ours, "the reference", *theirs])

    def _shown(self) -> list[str]:
        return [row.rstrip() for row in self._tmux("capture-pane", "-p").removesuffix("\n").split("\n")]

    def _tmux(self, *command: str) -> str:
        return self._run([*TMUX, *command])

    def _run(self, argv: list[str], stdin: str = "") -> str:
        asked = json.dumps({"argv": argv, "stdin": stdin, "env": {"TERM": "xterm-256color"}})
        answer = self._page.request.post(
            self._exec,
            data=asked,
            headers={**self._headers, "Content-Type": "application/json"},
            fail_on_status_code=True,
        ).json()
        assert answer["exit_code"] == 0, answer
        return str(answer["output"])
