"""When the REPL stops by itself, in the line at the bottom; pressed, it says why, and offers to keep it awake."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from nicegui import ui

from app.pages.words import ago, span
from components.controls import button, failed, set_shown, text, told
from orchestrator.domain import EXTEND_HOURS, Activity, Lease, Repl, totals_s
from orchestrator.service import Orchestrator

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


class Awake:
    """`attempt` does what changes something, if it is still allowed; without it one can only look."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        repl: Repl,
        *,
        attempt: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]] | None,
    ) -> None:
        self._orchestrator = orchestrator
        self._repl_id = repl.id
        self._owner_id = repl.owner_id
        self._attempt = attempt
        self._warned_s: int | None = None
        with (
            ui.element("button").classes("dx-lease dx-hidden").props("type=button aria-haspopup=dialog") as self._button
        ):
            self._left = text("")
            self._why = text("", "dx-wide")
            if attempt:
                text("Extend", tag="strong")
            with ui.menu().props('anchor="top right" self="bottom right" role=dialog') as self._menu:
                self._told = ui.element("div").classes("dx-awake")
        self._menu._props["aria-label"] = "What keeps this REPL awake"
        self._button.on("click", self._explain)

    def show(self) -> None:
        """When the REPL stops by itself and what put that off last."""
        lease = self._lease
        set_shown(self._button, lease is not None)
        if lease is None:
            self._menu.close()
            return
        left_s = _left_s(lease, datetime.now(UTC))
        self._left.set_text(f"Stops in {span(left_s)}")
        self._left.props(f"data-tone={'warn' if left_s <= URGENT_S else 'none'}")
        self._why.set_text(f"awake because {lease.activity.phrase}")

    def warn(self) -> None:
        """Before it stops by itself."""
        lease = self._lease
        warning_s = lease.warning_s(datetime.now(UTC)) if lease else None
        if warning_s is not None and warning_s != self._warned_s:
            action = (
                "Press Extend to keep it awake." if self._attempt else "Ask somebody who may edit to keep it awake."
            )
            failed(f"This REPL is idle: it stops in {warning_s // 60} min.", action)
        self._warned_s = warning_s

    async def extend(self, hours: int) -> None:
        """Keep it awake."""
        self._menu.close()
        if self._attempt:
            await self._attempt(partial(self._extend, hours))

    @property
    def _lease(self) -> Lease | None:
        return self._orchestrator.leases.get(self._repl_id)

    async def _explain(self) -> None:
        if (lease := self._lease) is None:
            return
        extension_left_s = await self._orchestrator.quota.extension_left_s(self._owner_id)
        now = datetime.now(UTC)
        self._told.clear()
        with self._told:
            text(f"Awake because {lease.activity.phrase}, {ago(lease.renewed_at, now)}.", tag="p")
            text(f"It stops in {span(_left_s(lease, now))} unless something happens.", tag="p")
            self._today(now)
            if not self._attempt:
                return
            with ui.element("div").classes("dx-row"):
                text("Keep it awake for")
                for hours in EXTEND_HOURS:
                    button(f"{hours} h", partial(self.extend, hours), small=True)
            left = span(extension_left_s) if extension_left_s >= 60 else "Nothing"
            text(f"{left} is left for this today.", "dx-muted", tag="p")

    def _today(self, now: datetime) -> None:
        """What kept it awake, and for how long, as far as the ledger goes back."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        since = max(midnight, self._orchestrator.leases.since)
        lasting = [one for one in self._orchestrator.leases.ledger(self._repl_id) if one.activity in _NAMES]
        totals = totals_s(lasting, since, now)
        if not totals:
            return
        text(
            "Today (UTC)" if since == midnight else f"In the last {span((now - since).total_seconds())}",
            "dx-muted",
            tag="p",
        )
        with ui.element("ul"):
            for activity, seconds in totals.items():
                text(f"{_NAMES[activity]} {span(max(seconds, MENTIONED_S))}", tag="li")

    async def _extend(self, hours: int) -> None:
        await self._orchestrator.extend(self._repl_id, hours)
        self.show()
        told(f"It stays awake for {hours} hour{'s' if hours > 1 else ''}.")


def _left_s(lease: Lease, now: datetime) -> float:
    return max((lease.expires_at - now).total_seconds(), 0)
