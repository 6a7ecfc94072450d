"""A user's REPLs: make, open, start, stop, rename, fork, delete and take back from the trash."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated

from nicegui import ui

from app.access import Access, Action, Actor, allowed, recheck
from app.pages.frame import ask_sure, ask_text, menu_item, page, while_shown
from app.pages.new_repl import NewRepl
from app.pages.words import ago, badge_of, colour_of
from app.services import Services
from components.controls import button, failed, icon_button, link, text, told
from orchestrator.domain import Goal, Phase, Repl
from runner.errors import DevexError


def register(services: Services) -> None:
    """Add the page at /."""

    @ui.page("/")
    async def dashboard_page(access: Annotated[Access, allowed(Action.LIST)]) -> None:
        actor = access.actor
        with page("Your REPLs", actor):
            board = Dashboard(services, actor)
            await board.fill()
        while_shown(ui.context.client, board.follow(), name=f"dashboard of {actor.name}")


class Dashboard:
    """The cards of one user, kept as the REPLs are."""

    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._orchestrator = services.orchestrator
        self._actor = actor
        self._new = NewRepl(services, actor)
        self._changes = self._orchestrator.subscribe(owner_id=actor.user_id)
        self._shown: dict[str, Repl] = {}
        with ui.element("div").classes("dx-row"):
            text("Your REPLs", "dx-title dx-grow", tag="h1")
            button("New REPL", self._new.open, icon_name="plus", kind="primary")
        self._body = ui.element("section").classes("dx-section").props('aria-label="Your REPLs"')
        self._trash = ui.element("section").classes("dx-section").props('aria-label="Trash"')

    async def follow(self) -> None:
        """Show every change of the user's REPLs, from whichever page or idle stop it comes."""
        async for _ in self._changes:
            await self.fill()

    async def fill(self) -> None:
        """Show the REPLs as they are."""
        owner_id = self._actor.user_id
        repls = await self._orchestrator.list(owner_id)
        deleted = await self._orchestrator.list(owner_id, trash=True)
        if self._body.is_deleted:
            return
        self._body.clear()
        self._trash.clear()
        with self._body:
            if repls:
                with ui.element("div").classes("dx-cards"):
                    for repl in repls:
                        self._card(repl)
            else:
                self._empty()
        with self._trash:
            if deleted:
                self._deleted(deleted)

    def _empty(self) -> None:
        with ui.element("div").classes("dx-empty"):
            text("Nothing here yet", "dx-title", tag="h2")
            text("A REPL is a place of its own to write and run code. It is ready in a second.", "dx-muted", tag="p")
            button("Create your first REPL", self._new.open, icon_name="plus", kind="primary")

    def _card(self, repl: Repl) -> None:
        template = self._orchestrator.templates.get(repl.template)
        title = template.title if template else repl.template
        runs = repl.goal is Goal.RUN
        with ui.element("article").classes("dx-card"):
            with ui.element("div").classes("dx-row"):
                _tile(repl.template)
                with ui.element("div").classes("dx-grow"):
                    link(repl.name, f"/repl/{repl.id}", "dx-card-link").style("display: block")
                    text(f"{title} · opened {ago(repl.opened_at, datetime.now(UTC))}", "dx-hint")
                self._menu(repl)
            with ui.element("div").classes("dx-row"):
                text(repl.phase.value.capitalize(), "dx-chip").props(f"data-phase={repl.phase.value}")
                ui.element("span").classes("dx-grow")
                if runs:
                    stop = self._doing(Action.STOP, repl, lambda: self._orchestrator.stop(repl.id))
                    button("Stop", stop, icon_name="stop", kind="quiet", small=True)
                else:
                    label = "Recover" if repl.phase is Phase.FAILED else "Start"
                    start = self._doing(Action.START, repl, lambda: self._orchestrator.start(repl.id))
                    button(label, start, icon_name="play", kind="quiet", small=True)
            if repl.failure:
                text(repl.failure, "dx-error")

    def _menu(self, repl: Repl) -> None:
        with icon_button("more", f"More for {repl.name}"), ui.menu().props("auto-close"):
            menu_item("rename", "Rename", lambda: self._rename(repl))
            menu_item("fork", "Fork", self._doing(Action.FORK, repl, lambda: self._fork(repl)))
            menu_item("download", "Download as zip", lambda: ui.navigate.to(f"/repls/{repl.id}/zip"))
            ui.element("div").classes("dx-menu-line")
            menu_item("trash", "Delete", lambda: self._delete(repl))

    def _deleted(self, deleted: list[Repl]) -> None:
        text("Trash", "dx-subtitle", tag="h2")
        with ui.element("div").classes("dx-panel dx-list"):
            for repl in deleted:
                with ui.element("div"):
                    _tile(repl.template)
                    with ui.element("div").classes("dx-grow"):
                        text(repl.name, tag="div")
                        if repl.purge_at:
                            text(f"Removed for good on {repl.purge_at:%-d %B %Y}", "dx-hint")
                    button("Restore", self._undelete(repl), icon_name="restore", small=True)

    def _doing(self, action: Action, repl: Repl, do: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        """A press that does something to a REPL, if it is still allowed, and says what went wrong."""

        async def press() -> None:
            try:
                await recheck(self._services, self._actor, action, repl.id)
                await do()
            except DevexError as error:
                failed(error.message, error.action)

        return press

    def _undelete(self, repl: Repl) -> Callable[[], Awaitable[None]]:
        return self._doing(Action.DELETE, repl, lambda: self._orchestrator.undelete(repl.id))

    async def _rename(self, repl: Repl) -> None:
        name = await ask_text("Rename", label="Name", value=repl.name, submit="Rename")
        if name and name != repl.name:
            await self._doing(Action.RENAME, repl, lambda: self._orchestrator.rename(repl.id, name))()

    async def _fork(self, repl: Repl) -> None:
        copy = await self._orchestrator.fork(repl.id, self._actor.user_id)
        ui.navigate.to(f"/repl/{copy.id}")

    async def _delete(self, repl: Repl) -> None:
        explanation = "It is stopped and goes to the trash. You can restore it from there."
        if await ask_sure(f"Delete “{repl.name}”?", explanation=explanation, action="Delete"):
            await self._doing(Action.DELETE, repl, lambda: self._orchestrator.delete(repl.id))()
            told(f"{repl.name} is in the trash.")


def _tile(template: str) -> None:
    text(badge_of(template), "dx-tile").style(f"--tile: {colour_of(template)}").props("aria-hidden=true")
