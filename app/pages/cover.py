"""What the workbench shows while its REPL does not run: progress, or one sentence and one button."""

from collections.abc import Callable
from typing import Any

from nicegui import ui

from components.controls import button, icon, link, text
from orchestrator.domain import Goal, Phase, Repl
from runner.errors import DevexError


class Cover:
    """Lies over the workbench unless the REPL runs."""

    def __init__(self, *, on_start: Callable[[], Any]) -> None:
        self._on_start = on_start
        self._root = ui.element("div").classes("dx-cover dx-hidden").props("role=status")

    def set_repl(self, repl: Repl, error: DevexError | None = None) -> None:
        """Show what `repl` needs shown; `error` is why it could not be opened."""
        runs = repl.phase is Phase.RUNNING and error is None
        self._root.classes(add="dx-hidden" if runs else "", remove="" if runs else "dx-hidden")
        self._root.clear()
        if runs:
            return
        with self._root, ui.element("div").classes("dx-cover-card"):
            if error is None and (repl.phase in (Phase.STARTING, Phase.STOPPING) or _about_to_start(repl)):
                ui.element("span").classes("dx-spin").style("width: 28px; height: 28px")
                verb = "Stopping" if repl.phase is Phase.STOPPING else "Starting"
                text(f"{verb} {repl.name}", "dx-title", tag="h1")
                return
            icon("warning" if repl.phase is Phase.FAILED or error else "moon").style("width: 28px; height: 28px")
            self._stopped(repl, error)

    def _stopped(self, repl: Repl, error: DevexError | None) -> None:
        if repl.in_trash:
            text(f"{repl.name} is in the trash", "dx-title", tag="h1")
            link("Go to your REPLs to restore it", "/", "dx-btn")
            return
        has_failed = repl.phase is Phase.FAILED or error is not None
        text(f"{repl.name} could not run" if has_failed else f"{repl.name} is stopped", "dx-title", tag="h1")
        why = repl.failure or (error.message if error else None) or repl.stop_reason or ""
        text(f"{why} Your files are safe.".strip(), "dx-muted", tag="p")
        with ui.element("div").classes("dx-row"):
            button("Recover" if has_failed else "Start", self._on_start, icon_name="play", kind="primary")
            link("Download files", f"/repls/{repl.id}/zip", "dx-btn")
            link("Your REPLs", "/", "dx-btn dx-btn-quiet")


def _about_to_start(repl: Repl) -> bool:
    return repl.phase is Phase.STOPPED and repl.goal is Goal.RUN
