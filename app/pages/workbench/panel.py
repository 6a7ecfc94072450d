"""The part of the workbench below the editor: terminals and the output of the last run, as tabs."""

from collections.abc import Callable
from typing import Any

from nicegui import ui

from app.pages.words import command_words, ending_words, span
from components.controls import icon, text
from components.tabs import Tab, Tabs
from components.terminal import Terminal

OUTPUT = "output"


class Panel:
    """Shows what `set_terminals` and `set_run` tell; `on_new` and `on_close` ask for a terminal or for its end."""

    def __init__(self, repl_id: str, *, on_new: Callable[[], Any], on_close: Callable[[str], Any]) -> None:
        self._repl_id = repl_id
        self._run: dict[str, Any] = {}
        with ui.element("section").classes("dx-pane dx-pane-panel").props('aria-label="Terminals and output"'):
            self._tabs = Tabs(
                label="Terminals and output",
                add_label="New terminal",
                command="terminal",
                on_add=on_new,
                on_close=on_close,
            )
        with self._tabs.add(Tab(key=OUTPUT, title="Output", icon="output")):
            self._line = ui.element("div").classes("dx-output-line").props("role=status")
            self._output = ui.element("div").classes("dx-pane-body")
        self._show_run()

    def set_terminals(self, terminals: list[dict[str, Any]]) -> None:
        """Have a tab for each shell, the output aside."""
        shells = {one["id"]: one for one in terminals if one["kind"] == "shell"}
        for key in self._tabs.keys:
            if key != OUTPUT and key not in shells:
                self._tabs.remove_tab(key)
        for terminal_id, about in shells.items():
            if terminal_id not in self._tabs.keys:
                self._add_terminal(terminal_id, about["title"])

    def set_run(self, run: dict[str, Any]) -> None:
        """Show the program that runs or ran last: its terminal, exit code and duration."""
        terminal_id, shown = run.get("terminal"), self._run.get("terminal")
        if run != self._run:
            self._run = run
            self._show_run()
        if terminal_id == shown:
            return
        self._output.clear()
        if terminal_id:
            with self._output, ui.element("div").classes("dx-terminal-slot"):
                Terminal(self._repl_id, terminal_id)

    def show_terminal(self, *, focus: bool = False) -> None:
        """Bring the terminal used last to the front."""
        self._tabs.show_last(focus=focus)

    def show_output(self) -> None:
        """Bring the output to the front."""
        self._tabs.show(OUTPUT)

    def _add_terminal(self, terminal_id: str, title: str) -> None:
        def set_title(name: str) -> None:
            self._tabs.set_title(terminal_id, name or title)

        tab = Tab(key=terminal_id, title=title, icon="terminal", closable=True)
        with self._tabs.add(tab), ui.element("div").classes("dx-terminal-slot"):
            Terminal(self._repl_id, terminal_id, on_title=set_title)

    def _show_run(self) -> None:
        run = self._run
        self._line.clear()
        with self._line:
            if not run.get("terminal"):
                text("Press Run to start the program. What it prints shows up here.")
                return
            if run["running"]:
                ui.element("span").classes("dx-spin")
                text("Running")
            else:
                _show_ending(run)
            command = run.get("command") or ""
            text(command_words(command), tag="code")._props["title"] = command


def _show_ending(run: dict[str, Any]) -> None:
    code, duration_s = run["exit_code"], run.get("duration_s")
    tone = "ok" if code == 0 else "danger"
    icon("check" if code == 0 else "warning").props(f"data-tone={tone}")
    duration = f" after {span(duration_s)}" if duration_s is not None else ""
    text(f"{ending_words(code)}{duration}").props(f"data-tone={tone}")
