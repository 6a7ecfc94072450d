"""The part of the workbench below the editor: terminals and the output of the last run, as tabs."""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from app.pages.words import command_words, ending_words, memory, span, stopped_words
from components.controls import icon, text
from components.repl import Run, Shell
from components.tabs import Tab, Tabs
from components.terminal import Terminal

OUTPUT = "output"


class Panel:
    """Shows what `set_shells` and `set_run` tell; `on_new` and `on_close` ask for a terminal or for its end;
    `on_open(path, line, column)`: a place in a file, named in one of them, was chosen."""

    def __init__(
        self,
        repl_id: str,
        *,
        on_new: Callable[[], Any],
        on_close: Callable[[str], Any],
        on_open: Callable[[str, int, int | None], Any],
    ) -> None:
        self._repl_id = repl_id
        self._on_open = on_open
        self._run = Run()
        self._shells: dict[str, Shell] = {}
        self._said: dict[str, str] = {}  # what programs call their windows
        with ui.element("section").classes("dx-pane dx-pane-panel").props('aria-label="Terminals and output"'):
            self._tabs = Tabs(
                label="Terminals and output",
                add_label="New terminal",
                command="terminal",
                rename_command="terminal-rename",
                split_label="Split the terminal",
                split_commands=("terminal-split", "terminal-part"),
                on_add=on_new,
                on_close=on_close,
            )
        with self._tabs.add(Tab(key=OUTPUT, title="Output", icon="output")):
            self._line = ui.element("div").classes("dx-output-line").props("role=status")
            self._output = ui.element("div").classes("dx-pane-body")
        self._show_run()

    def set_shells(self, shells: Sequence[Shell]) -> None:
        """Have a tab for each, the output aside."""
        ids = {shell.id for shell in shells}
        for key in self._tabs.keys:
            if key != OUTPUT and key not in ids:
                self._tabs.remove_tab(key)
        self._shells = {shell.id: shell for shell in shells}
        for shell in shells:
            if shell.id not in self._tabs.keys:
                self._add_shell(shell)
            self._name(shell.id)

    def set_run(self, run: Run) -> None:
        """Show the program that runs or ran last: its terminal, exit code and duration."""
        shown = self._run.terminal
        if run != self._run:
            self._run = run
            self._show_run()
        if run.terminal == shown:
            return
        self._output.clear()
        if run.terminal:
            with self._output, ui.element("div").classes("dx-terminal-slot"):
                Terminal(self._repl_id, run.terminal, on_open=self._on_open)

    def show_terminal(self, *, focus: bool = False) -> None:
        """Bring the terminal used last to the front."""
        self._tabs.show_last(focus=focus)

    def show_output(self) -> None:
        """Bring the output to the front."""
        self._tabs.show(OUTPUT)

    def _add_shell(self, shell: Shell) -> None:
        def set_title(name: str) -> None:
            self._said[shell.id] = name
            self._name(shell.id)

        tab = Tab(key=shell.id, title=shell.title, icon="terminal", closable=True)
        with self._tabs.add(tab), ui.element("div").classes("dx-terminal-slot"):
            Terminal(self._repl_id, shell.id, on_title=set_title, on_open=self._on_open)

    def _name(self, shell_id: str) -> None:
        """As somebody named it; else as its program says; else by its number."""
        if shell := self._shells.get(shell_id):
            said = "" if shell.named else self._said.get(shell_id, "")
            self._tabs.set_title(shell_id, said or shell.title)

    def _show_run(self) -> None:
        run = self._run
        self._line.clear()
        with self._line:
            if run.terminal is None:
                text("Press Run to start the program. What it prints shows up here.")
                return
            if run.running:
                ui.element("span").classes("dx-spin")
                text("Running")
            else:
                _show_ending(run)
            command = run.command or ""
            text(command_words(command), tag="code")._props["title"] = command


def _show_ending(run: Run) -> None:
    icon_name, tone = ("check", "ok") if run.exit_code == 0 else ("warning", "danger")
    if stopped := stopped_words(run.exit_code, forced=run.forced):
        icon_name, tone = "stop", "none"
    icon(icon_name).props(f"data-tone={tone}")
    duration = f" after {span(run.duration_s)}" if run.duration_s is not None else ""
    peak = f", {memory(run.peak_bytes)}" if run.peak_bytes else ""
    told = text(f"{stopped or ending_words(run.exit_code)}{duration}{peak}").props(f"data-tone={tone}")
    if peak:
        told._props["title"] = f"The largest of its processes had {memory(run.peak_bytes or 0)} of memory at most"
