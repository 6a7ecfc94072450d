"""The card of one REPL on the dashboard."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal

from nicegui import ui

from app.access import Action, ReplRole
from app.pages.frame import menu_item
from app.pages.words import ago, badge_of, colour_of, unsafe_words
from components.controls import button, icon_button, link, set_label, set_shown, text
from orchestrator.domain import Goal, Phase, Repl

Deed = Literal["start", "stop", "rename", "fork", "delete", "leave"]
Act = Callable[[Deed, Repl], Awaitable[None]]


class Card:
    """Stays the same elements while the REPL changes: a press never meets a button that is just being replaced."""

    def __init__(self, repl: Repl, about: str, *, act: Act, role: ReplRole) -> None:
        """`about` is said below its name; `role` is what the one who sees the card is to it."""
        self._repl = repl
        self._act = act
        self._role = role
        with ui.element("article").classes("dx-card"):
            with ui.element("div").classes("dx-row"):
                tile(repl.template)
                with ui.element("div").classes("dx-grow"):
                    self._name = link(repl.name, f"/repl/{repl.id}", "dx-card-link").style("display: block")
                    text(about, "dx-hint")
                self._menu()
            with ui.element("div").classes("dx-row"):
                self._phase = text("", "dx-chip")
                self._opened = text("", "dx-hint dx-grow")
                self._stop = button("Stop", self._press("stop"), icon_name="stop", kind="quiet", small=True)
                self._start = button("Start", self._press("start"), icon_name="play", kind="quiet", small=True)
                self._recover = button("Recover", self._press("start"), icon_name="play", small=True)
            self._failure = text("", "dx-error")
            self._unsafe = text("", "dx-error")
            self._lacks = text("", "dx-error")
        self.set_repl(repl)

    def set_repl(self, repl: Repl) -> None:
        """Show it as it is now."""
        self._repl = repl
        self._name.set_text(repl.name)
        set_label(self._more, f"More for {repl.name}")
        now = datetime.now(UTC)
        self._opened.set_text(f"opened {ago(repl.opened_at, now)}")
        self._phase.set_text(repl.phase.value.capitalize())
        self._phase.props(f"data-phase={repl.phase.value}")
        self._failure.set_text(repl.failure or "")
        unsafe = unsafe_words(repl, now)
        self._unsafe.set_text(unsafe)
        self._lacks.set_text(repl.lacks or "")
        runs, has_failed = repl.goal is Goal.RUN, repl.phase is Phase.FAILED
        starts = not runs and self._role.may(Action.START)
        for element, is_shown in (
            (self._stop, runs and self._role.may(Action.STOP)),
            (self._start, starts and not has_failed),
            (self._recover, starts and has_failed),
            (self._failure, bool(repl.failure)),
            (self._unsafe, bool(unsafe)),
            (self._lacks, bool(repl.lacks)),
        ):
            set_shown(element, is_shown)

    def _menu(self) -> None:
        self._more = icon_button("more", "More")
        with self._more, ui.menu().props("auto-close"):
            if self._role.may(Action.RENAME):
                menu_item("rename", "Rename", self._press("rename"))
            menu_item("fork", "Fork", self._press("fork"))
            menu_item("folder", "Browse files", lambda: ui.navigate.to(f"/repl/{self._repl.id}?start=0"))
            menu_item("download", "Download as zip", lambda: ui.navigate.to(f"/repls/{self._repl.id}/zip"))
            ui.element("div").classes("dx-menu-line")
            if self._role.may(Action.DELETE):
                menu_item("trash", "Delete", self._press("delete"))
            else:
                menu_item("sign-out", "Leave", self._press("leave"))

    def _press(self, what: Deed) -> Callable[[], Awaitable[None]]:
        """What a button does: `act` on the REPL as it is when it is pressed."""
        return lambda: self._act(what, self._repl)


def tile(template: str) -> None:
    """The letters that stand for a template, in its colour."""
    text(badge_of(template), "dx-tile").style(f"--tile: {colour_of(template)}").props("aria-hidden=true")
