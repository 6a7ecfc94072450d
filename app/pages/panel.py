"""The part of the workbench below the editor: terminals and the output of the last run, as tabs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

from app.pages.words import command_words, span
from components.controls import icon, icon_button, text
from components.terminal import Terminal

OUTPUT = "output"


@dataclass(slots=True)
class Tab:
    """One tab with what it shows."""

    strip: Element
    body: Element
    title: TextElement
    terminal: Terminal | None = None


class Panel:
    """Shows what `set_terminals` and `set_run` tell; `on_new` and `on_close` ask for a terminal or for its end."""

    def __init__(self, base: str, *, on_new: Callable[[], Any], on_close: Callable[[str], Any]) -> None:
        self._base = base
        self._on_close = on_close
        self._tabs: dict[str, Tab] = {}
        self._active = ""
        self._run: dict[str, Any] = {}
        with ui.element("section").classes("dx-pane dx-pane-panel").props('aria-label="Terminals and output"'):
            with ui.element("div").classes("dx-tabs"):
                self._strip = ui.element("div").classes("dx-row dx-tablist").props("role=tablist")
                icon_button("plus", "New terminal", on_new)
            self._bodies = ui.element("div").classes("dx-pane-body")
        self._add(OUTPUT, "Output", "output")
        with self._tabs[OUTPUT].body:
            self._line = ui.element("div").classes("dx-output-line").props("role=status")
            self._output = ui.element("div").classes("dx-pane-body")
        self._show_run()
        self.show(OUTPUT)

    @property
    def terminal_ids(self) -> list[str]:
        """The shells that have a tab, in order."""
        return [key for key in self._tabs if key != OUTPUT]

    def set_terminals(self, terminals: list[dict[str, Any]]) -> None:
        """Have a tab for each shell, the output aside."""
        shells = {one["id"]: one for one in terminals if one["kind"] == "shell"}
        for gone in [key for key in self.terminal_ids if key not in shells]:
            self._remove(gone)
        for terminal_id, about in shells.items():
            if terminal_id not in self._tabs:
                self._add_terminal(terminal_id, about.get("title") or "Terminal")
        if self._active not in self._tabs:
            self.show_terminal()

    def set_run(self, run: dict[str, Any]) -> None:
        """Show the program that runs or ran last: its terminal, exit code and duration."""
        terminal_id, shown = run.get("terminal"), self._run.get("terminal")
        self._run = run
        self._show_run()
        if terminal_id and terminal_id != shown:
            self._output.clear()
            with self._output, ui.element("div").classes("dx-terminal-slot"):
                Terminal(self._base, terminal_id)

    def show(self, key: str) -> None:
        """Bring a tab to the front."""
        self._active = key
        for name, tab in self._tabs.items():
            front = name == key
            tab.strip.props(f"data-active={str(front).lower()}")
            tab.strip.default_slot.children[0].props(f"aria-selected={str(front).lower()}")
            tab.body.classes(add="" if front else "dx-behind", remove="dx-behind" if front else "")

    def show_terminal(self) -> None:
        """Bring the terminal used last to the front, or the output when there is none."""
        if self._active in (OUTPUT, "") or self._active not in self._tabs:
            self.show(self.terminal_ids[-1] if self.terminal_ids else OUTPUT)

    def focus(self) -> None:
        """Let the terminal in front take the keyboard."""
        terminal = self._tabs[self._active].terminal
        if terminal is not None:
            terminal.focus()

    def show_output(self) -> None:
        """Bring the output to the front."""
        self.show(OUTPUT)

    def _add_terminal(self, terminal_id: str, title: str) -> None:
        self._add(terminal_id, title, "terminal", closable=True)
        tab = self._tabs[terminal_id]
        with tab.body, ui.element("div").classes("dx-terminal-slot"):
            tab.terminal = Terminal(
                self._base, terminal_id, on_title=lambda name: tab.title.set_text(name or "Terminal")
            )
        self.show(terminal_id)

    def _add(self, key: str, title: str, icon_name: str, *, closable: bool = False) -> None:
        with self._strip, ui.element("div").classes("dx-tab") as strip:
            with ui.element("button").props("role=tab type=button") as pressed:
                icon(icon_name)
                label = text(title, "dx-tab-title")
            pressed.on("click", lambda: self.show(key))
            if closable:
                icon_button("close", f"Close {title}", lambda: self._on_close(key))
            else:
                strip.classes("dx-tab-pad")
        with self._bodies:
            body = ui.element("div").classes("dx-tabpanel").props("role=tabpanel")
        self._tabs[key] = Tab(strip, body, label)

    def _remove(self, key: str) -> None:
        tab = self._tabs.pop(key)
        tab.strip.delete()
        tab.body.delete()

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
                code = run["exit_code"]
                icon("check" if code == 0 else "warning").props(f"data-tone={'ok' if code == 0 else 'danger'}")
                duration = f" after {span(run['duration_s'])}" if run.get("duration_s") is not None else ""
                text(f"Exit code {code}{duration}").props(f"data-tone={'ok' if code == 0 else 'danger'}")
            text(command_words(run.get("command") or ""), tag="code")
