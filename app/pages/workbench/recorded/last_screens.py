"""What the terminals and the program of a REPL wrote last, before it stopped."""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from app.pages.workbench.recorded.record import Record, last_run, left_open
from app.pages.workbench.recorded.record_parts import Again, show_ending, show_output, show_ways
from app.pages.workbench.recorded.run_history import RunHistory
from components.tabs import Tab, Tabs

OUTPUT, TERMINAL, RUNS = "output", "terminal", "runs"  # what is below the editor


class LastScreens:
    """The last run in front, then the shells that were open, as their records have them, then the history."""

    def __init__(
        self,
        repl_id: str,
        records: Sequence[Record],
        *,
        on_start: Callable[[], Any] | None,
        on_again: Again | None,
        new_run_history: Callable[[], RunHistory],
    ) -> None:
        """`records`: the newest first. Without `on_start` nothing can be begun."""
        run, shells = last_run(records), left_open(records)
        with ui.element("section").classes("dx-pane dx-pane-panel").props('aria-label="What was here last"'):
            self._tabs = Tabs(
                label="What was here last",
                add_label="New terminal",
                readonly=on_start is None,
                on_add=on_start or (lambda: None),
                on_close=lambda _: None,
            )
        for record in (*([run] if run else []), *shells):
            title, icon = ("Output", "output") if record.is_run else (record.title, "terminal")
            with self._tabs.add(Tab(key=record.id, title=title, icon=icon)):
                with ui.element("div").classes("dx-output-line"):
                    show_ending(record)
                    show_ways(repl_id, record, on_again)
                show_output(repl_id, record)
        with self._tabs.add(Tab(key=RUNS, title="Runs", icon="history")):
            new_run_history()
        self._front = {OUTPUT: run.id if run else RUNS, TERMINAL: shells[-1].id if shells else RUNS, RUNS: RUNS}

    def show(self, view: str) -> None:
        """OUTPUT, TERMINAL or RUNS comes to the front; any other view of the page is elsewhere."""
        if view in self._front:
            self._tabs.show(self._front[view])
