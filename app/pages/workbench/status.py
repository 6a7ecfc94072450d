"""The line at the bottom of the workbench: connection, what is saved, cursor, what keeps the REPL awake."""

from nicegui import ui

from components.controls import text
from components.history import Receipt

SAVED, CURSOR = "dx-status-saved", "dx-status-cursor"  # ids: the editor writes there


def status_line() -> ui.element:
    """What is on disk and where the caret is, which the editor fills in in the browser, and what is in the store."""
    with ui.element("footer").classes("dx-status").props('aria-label="Status"') as footer:
        with ui.element("span").classes("dx-connection").props("role=status"):
            text("Connected", "dx-dot").props("data-tone=ok")
            text("Connecting…", "dx-dot").props("data-tone=warn")
        ui.element("span").classes("dx-saved").props(f"id={SAVED} role=status")
        Receipt()
        ui.element("span").classes("dx-grow")
        ui.element("span").classes("dx-wide").props(f"id={CURSOR}")
    return footer
