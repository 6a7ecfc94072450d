"""The reference emulator: tmux, whose screen is asked for by its control mode."""

import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.components.terminal.screens import COLS, ROWS, Looks, Screen

DEADLINE_S: Final = 60
OPTIONS: Final = """
set -g default-terminal xterm-256color
set -g status off
set -g remain-on-exit on
set -s escape-time 0
set -g history-limit 1000
"""
QUIET: Final = "stty raw -echo; tty; echo re''ady; exec cat >/dev/null"


class Reference:
    """One pane of 80 x 24 with `command` in it."""

    def __init__(self, directory: Path, command: str, environment: dict[str, str] | None = None) -> None:
        (directory / "tmux.conf").write_text(OPTIONS)
        argv = ["tmux", "-S", str(directory / "tmux"), "-f", str(directory / "tmux.conf"), "-u", "-C"]
        env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory),
            "SHELL": "/bin/sh",
            **(environment or {}),
        }
        self._server = subprocess.Popen(
            [*argv, "new-session", "-f", "no-output", "-x", str(COLS), "-y", str(ROWS), "-c", str(directory), command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=directory,
        )  # fmt: skip
        self._unread = b""  # no output from the start: switched off behind some, no answer comes any more
        waited_for = {"%end", "%session-changed"}  # commands before it is attached are not always answered
        while waited_for:
            waited_for.discard(self._line().partition(" ")[0])
        self.ask(f"refresh-client -C {COLS}x{ROWS}")

    def ask(self, command: str) -> list[str]:
        """-> the lines of its answer."""
        assert self._server.stdin
        self._server.stdin.write(command.encode() + b"\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> list[str]:
        lines: list[str] | None = None
        while True:
            line = self._line()
            if line.startswith("%begin "):
                lines = []
            elif line.startswith("%end ") and lines is not None:
                return lines
            elif line.startswith("%error "):
                raise AssertionError(lines)
            elif lines is not None:
                lines.append(line)

    def _line(self) -> str:
        assert self._server.stdout
        ends_at = time.monotonic() + DEADLINE_S
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self._server.stdout], [], [], max(0, ends_at - time.monotonic()))
            assert ready, "tmux does not answer"
            more = os.read(self._server.stdout.fileno(), 1 << 16)
            assert more, "tmux has ended"
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace").removesuffix("\r")

    def tell(self, variable: str) -> str:
        """What tmux calls `#{variable}`."""
        return self.ask(f"display-message -p '#{{{variable}}}'")[0]

    def named(self, title: str) -> None:
        """Wait until the program has given the terminal this title."""
        ends_at = time.monotonic() + DEADLINE_S
        while self.tell("pane_title") != title:
            assert time.monotonic() < ends_at, f"the reference has not got as far as {title}"

    def until(self, text: str) -> None:
        """Wait until the screen shows `text`."""
        ends_at = time.monotonic() + DEADLINE_S
        while not any(text in line for line in self.ask("capture-pane -p")):
            assert time.monotonic() < ends_at, f"the reference does not show {text}"

    def screen(self) -> Screen:
        x, y, alternate = self.ask("display-message -p '#{cursor_x} #{cursor_y} #{alternate_on}'")[0].split()
        looks = Looks()
        rows = tuple(looks.row(line) for line in self.ask("capture-pane -p -e -N"))
        return Screen(rows, (int(x), int(y)), alternate == "1")

    def close(self) -> None:
        self.ask("kill-server")
        self._server.wait(DEADLINE_S)
        for pipe in (self._server.stdin, self._server.stdout):
            assert pipe
            pipe.close()


@contextmanager
def reference(directory: Path, command: str = QUIET) -> Iterator[Reference]:
    emulator = Reference(directory, command)
    try:
        yield emulator
    finally:
        emulator.close()
