"""The part of the workbench below the editor: terminals, the output of the last run, and the history, as tabs."""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from app.pages.words import command_words
from app.pages.workbench.recorded.last_screens import OUTPUT, RUNS
from app.pages.workbench.recorded.record import Record, continued, ending_of, last_run
from app.pages.workbench.recorded.record_parts import figures, show_downloads, show_ending, show_output, show_ways
from app.pages.workbench.recorded.run_history import RunHistory
from components.controls import button, icon, text
from components.repl import Run, Shell
from components.tabs import Tab, Tabs
from components.terminal import Terminal
from runner.proxy.terminals.exits import TERM_S

_STOPPING = f"Stopping: asked to end (SIGTERM), killed (SIGKILL) if it still runs after {TERM_S:g} s"


class Panel:
    """Shows what `set_shells` and `set_run` tell; `on_new` and `on_close` ask for a terminal or for its end, `on_runs`
    for the history, which `new_run_history` makes. `on_open(path, line, column)`: a place in a file, named in a
    terminal, was chosen.
    """

    def __init__(
        self,
        repl_id: str,
        *,
        can_write: bool,
        on_new: Callable[[], Any],
        on_close: Callable[[str], Any],
        on_open: Callable[[str, int, int | None], Any],
        on_runs: Callable[[], Any],
        new_run_history: Callable[[Callable[[], None]], RunHistory],
    ) -> None:
        self._repl_id = repl_id
        self._can_write = can_write
        self._on_open = on_open
        self._on_runs = on_runs
        self._run = Run()
        self._shells: dict[str, Shell] = {}
        self._said: dict[str, str] = {}  # what programs call their windows
        self._before: Record | None = None  # what ran last before this start, until something runs
        self._continued: tuple[str, Record] | None = None
        with ui.element("section").classes("dx-pane dx-pane-panel").props('aria-label="Terminals and output"'):
            self._tabs = Tabs(
                label="Terminals and output",
                add_label="New terminal",
                command="terminal",
                rename_command="terminal-rename",
                split_label="Split the terminal",
                split_commands=("terminal-split", "terminal-part"),
                readonly=not can_write,
                on_add=on_new,
                on_close=on_close,
            )
        with self._tabs.add(Tab(key=OUTPUT, title="Output", icon="output")):
            self._line = ui.element("div").classes("dx-output-line").props("role=status")
            self._output = ui.element("div").classes("dx-pane-body")
        with self._tabs.add(Tab(key=RUNS, title="Runs", icon="history")):
            self.run_history = new_run_history(self.show_output)
        self._show_run()

    def set_shells(self, shells: Sequence[Shell]) -> None:
        """Have a tab for each, the output aside."""
        ids = {shell.id for shell in shells}
        for key in self._tabs.keys:
            if key not in (OUTPUT, RUNS) and key not in ids:
                self._tabs.remove_tab(key)
        self._shells = {shell.id: shell for shell in shells}
        for shell in shells:
            if shell.id not in self._tabs.keys:
                self._add_shell(shell)
            self._name(shell.id)

    def lacks(self, shells: Sequence[Shell]) -> bool:
        """Whether one of them has no tab yet."""
        return any(shell.id not in self._tabs.keys for shell in shells)

    def set_run(self, run: Run) -> None:
        """Show the program that runs or ran last: its terminal, exit code, duration and memory."""
        if run == self._run:
            return
        shown, self._run = self._run.terminal, run
        self._show_run()
        if run.terminal != shown:
            self._show_output()

    def set_records(self, records: Sequence[Record], shells: Sequence[Shell]) -> None:
        """What was here before this start is shown; the first of `shells`, before it gets a tab, goes on from there."""
        self._continued = continued(records, shells)
        before = None if self._run.terminal else last_run(records)
        if before != self._before:
            self._before = before
            self._show_run()
            self._show_output()

    def say_stopping(self) -> None:
        """Until it has ended, which takes some seconds when it does not listen."""
        if self._run.running:
            self._line.clear()
            with self._line:
                ui.element("span").classes("dx-spin")
                text(_STOPPING)

    def show_terminal(self, *, focus: bool = False) -> None:
        """Bring the terminal used last to the front."""
        self._tabs.show_last(focus=focus)

    def show_output(self) -> None:
        """Bring the output to the front."""
        self._tabs.show(OUTPUT)

    def show_runs(self) -> None:
        """Bring the history to the front."""
        self._tabs.show(RUNS)

    def _add_shell(self, shell: Shell) -> None:
        def set_title(name: str) -> None:
            self._said[shell.id] = name
            self._name(shell.id)

        tab = Tab(key=shell.id, title=shell.title, icon="terminal", closable=True)
        with self._tabs.add(tab), ui.element("div").classes("dx-terminal-slot"):
            found = self._continued[1] if self._continued and self._continued[0] == shell.id else None
            before = (found.id, found.size) if found else None
            Terminal(self._repl_id, shell.id, before=before, on_title=set_title, on_open=self._on_open)

    def _show_output(self) -> None:
        self._output.clear()
        with self._output:
            if self._run.terminal:
                with ui.element("div").classes("dx-terminal-slot"):
                    Terminal(self._repl_id, self._run.terminal, on_open=self._on_open)
            elif self._before:
                with ui.element("div").classes("dx-runs-detail"):
                    show_output(self._repl_id, self._before)

    def _name(self, shell_id: str) -> None:
        """As somebody named it; else as its program says; else by its number."""
        if shell := self._shells.get(shell_id):
            said = "" if shell.named else self._said.get(shell_id, "")
            self._tabs.set_title(shell_id, said or shell.title)

    def _show_run(self) -> None:
        run = self._run
        self._line.clear()
        with self._line:
            if run.terminal is None and self._before:
                show_ending(self._before)
                show_ways(self._repl_id, self._before, self.run_history.on_again)
                self._all_runs()
                return
            if run.terminal is None:
                first = "Press Run to start the program. What it" if self._can_write else "What the program"
                text(f"{first} prints shows up here.")
            elif run.running:
                ui.element("span").classes("dx-spin")
                text("Running")
            else:
                ending = ending_of(run.exit_code, forced=run.forced)
                icon(ending.icon).props(f"data-tone={ending.tone}")
                words = f"{ending.words}{figures(run.duration_s, run.peak_bytes)}"
                text(words).props(f"data-tone={ending.tone}")
            command = run.command or ""
            text(command_words(command), tag="code")._props["title"] = command
            ui.element("span").classes("dx-grow")
            if run.running and self._can_write:
                text("If it asks, type your answer below.", "dx-wide")
            if run.terminal:
                show_downloads(self._repl_id, run.terminal)
            self._all_runs()

    def _all_runs(self) -> None:
        button("All runs", self._on_runs, icon_name="history", small=True)._props["title"] = "The history of runs"
