"""When the REPL stops by itself, in the line at the bottom; pressed, it says why, and offers to keep it awake."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from nicegui import ui

from app.pages.words import ago, span
from components.controls import button, set_shown, text
from orchestrator.domain import EXTEND_HOURS, Activity, Lease, Ledger, totals_s

URGENT_S = 300.0  # the first of the lease's warnings
MENTIONED_S = 60.0  # what took less than a minute is said to have taken one

_NAMES = {  # of what lasts
    Activity.KEYSTROKE: "typing",
    Activity.EDIT: "editing",
    Activity.OUTPUT: "output",
    Activity.PREVIEW: "preview",
    Activity.RUN: "running",
    Activity.CPU: "computing",
    Activity.EXTENDED: "kept awake",
}


class Facts(NamedTuple):
    """What the popover tells. `left_s` is of the day's budget for keeping REPLs awake; `since` begins the ledger."""

    lease: Lease
    ledger: Ledger
    since: datetime
    left_s: float
    now: datetime


class Awake:
    """`on_open` is called when it is pressed, and is expected to `explain`; `on_extend` gets hours."""

    def __init__(self, *, on_open: Callable[[], Any], on_extend: Callable[[int], Any]) -> None:
        self._on_extend = on_extend
        with (
            ui.element("button").classes("dx-lease dx-hidden").props("type=button aria-haspopup=dialog") as self._button
        ):
            self._left = text("")
            self._why = text("", "dx-wide")
            text("Extend", tag="strong")
            with ui.menu().props('anchor="top right" self="bottom right" role=dialog') as self._menu:
                self._told = ui.element("div").classes("dx-awake")
        self._menu._props["aria-label"] = "What keeps this REPL awake"
        self._button.on("click", on_open)

    def show(self, lease: Lease | None, now: datetime) -> None:
        """When the REPL stops by itself and what put that off last."""
        set_shown(self._button, lease is not None)
        if lease is None:
            self._menu.close()
            return
        left_s = max((lease.expires_at - now).total_seconds(), 0)
        self._left.set_text(f"Stops in {span(left_s)}")
        self._left.props(f"data-tone={'warn' if left_s <= URGENT_S else 'none'}")
        self._why.set_text(f"awake because {lease.activity.phrase}")

    def explain(self, facts: Facts) -> None:
        """Fill the popover."""
        lease, now = facts.lease, facts.now
        self._told.clear()
        with self._told:
            text(f"Awake because {lease.activity.phrase}, {ago(lease.renewed_at, now)}.", tag="p")
            left_s = max((lease.expires_at - now).total_seconds(), 0)
            text(f"It stops in {span(left_s)} unless something happens.", tag="p")
            self._today(facts)
            with ui.element("div").classes("dx-row"):
                text("Keep it awake for")
                for hours in EXTEND_HOURS:
                    button(f"{hours} h", partial(self._extend, hours), small=True)
            left = span(facts.left_s) if facts.left_s >= 60 else "Nothing"
            text(f"{left} is left for this today.", "dx-muted", tag="p")

    def _today(self, facts: Facts) -> None:
        midnight = facts.now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = max(midnight, facts.since)
        lasting = [one for one in facts.ledger if one.activity in _NAMES]
        totals = totals_s(lasting, since, facts.now)
        if not totals:
            return
        text(
            "Today (UTC)" if since == midnight else f"In the last {span((facts.now - since).total_seconds())}",
            "dx-muted",
            tag="p",
        )
        with ui.element("ul"):
            for activity, seconds in totals.items():
                text(f"{_NAMES[activity]} {span(max(seconds, MENTIONED_S))}", tag="li")

    def _extend(self, hours: int) -> Any:
        self._menu.close()
        return self._on_extend(hours)
