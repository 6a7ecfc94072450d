"""The line at the bottom of the workbench: connection, saved state, cursor, what keeps the REPL awake."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from nicegui import ui

from app.pages.words import span
from components.controls import text
from orchestrator.domain import Lease

SAVED, CURSOR = "dx-status-saved", "dx-status-cursor"  # ids: the editor writes there
URGENT_S = 300.0  # the first of the lease's warnings


class Status:
    """The footer: the lease, as it is told of it, and two places that the editor fills in the browser."""

    def __init__(self, *, on_extend: Callable[[], Any]) -> None:
        with ui.element("footer").classes("dx-status").props('aria-label="Status"'):
            with ui.element("span").classes("dx-connection").props("role=status"):
                text("Connected", "dx-dot").props("data-tone=ok")
                text("Connecting…", "dx-dot").props("data-tone=warn")
            ui.element("span").classes("dx-saved").props(f"id={SAVED} role=status")
            ui.element("span").classes("dx-grow")
            ui.element("span").classes("dx-wide").props(f"id={CURSOR}")
            self._lease = text("", "dx-lease")
            self._awake = text("", "dx-wide")
            self._extend = ui.element("button").props('type=button title="Keep it awake for four more hours"')
            with self._extend:
                text("Extend")
            self._extend.on("click", on_extend)
        self.set_lease(None, None)

    def set_lease(self, lease: Lease | None, now: datetime | None) -> None:
        """When the REPL stops by itself and what put that off last."""
        self._extend.classes(add="dx-hidden" if lease is None else "", remove="" if lease is None else "dx-hidden")
        if lease is None or now is None:
            self._lease.set_text("")
            self._awake.set_text("")
            return
        left_s = max((lease.expires_at - now).total_seconds(), 0)
        self._lease.set_text(f"Stops in {span(left_s)}")
        self._awake.set_text(f"awake because {lease.activity.phrase}")
        self._lease.props(f"data-tone={'warn' if left_s <= URGENT_S else 'none'}")
