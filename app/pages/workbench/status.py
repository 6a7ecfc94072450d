"""The line at the bottom of the workbench: connection, what is saved, cursor, what keeps the REPL awake."""

from collections.abc import Callable
from typing import Any

from nicegui import ui

from app.pages.workbench.awake import Awake
from components.controls import text
from components.history import Receipt

SAVED, CURSOR = "dx-status-saved", "dx-status-cursor"  # ids: the editor writes there


class Status:
    """The footer: what is on disk and where the caret is, which the editor fills in in the browser, what is in the
    store, and what keeps the REPL awake."""

    def __init__(self, *, on_lease: Callable[[], Any], on_extend: Callable[[int], Any]) -> None:
        with ui.element("footer").classes("dx-status").props('aria-label="Status"'):
            with ui.element("span").classes("dx-connection").props("role=status"):
                text("Connected", "dx-dot").props("data-tone=ok")
                text("Connecting…", "dx-dot").props("data-tone=warn")
            ui.element("span").classes("dx-saved").props(f"id={SAVED} role=status")
            Receipt()
            ui.element("span").classes("dx-grow")
            ui.element("span").classes("dx-wide").props(f"id={CURSOR}")
            self.awake = Awake(on_open=on_lease, on_extend=on_extend)
