"""A user's REPLs: make, open, start, stop, rename, fork, delete and take back from the trash; and those shared with
them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Annotated, assert_never

from nicegui import ui

from app.access import Access, Action, Actor, ReplRole, allowed
from app.members import Shared
from app.pages.card import Card, Deed, tile
from app.pages.frame import PAGE_DEADLINE_S, ask_sure, ask_text, attempt, page, say_failed, while_shown
from app.pages.new_repl import NewRepl
from app.pages.words import shared_words
from app.services import Services
from components.controls import button, text, told
from orchestrator.domain import Repl


def register(services: Services) -> None:
    """Add the page at /."""

    @ui.page("/", response_timeout=PAGE_DEADLINE_S)
    async def dashboard_page(access: Annotated[Access, allowed(Action.LIST)]) -> None:
        actor = access.actor
        with page("Your REPLs", actor):
            board = Dashboard(services, actor)
            await board.fill()
        while_shown(ui.context.client, board.follow(board.changes), name=f"dashboard of {actor.name}")
        while_shown(ui.context.client, board.follow(board.shared_changes), name=f"shared with {actor.name}")


class Dashboard:
    """The cards of one user, kept as the REPLs are."""

    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._orchestrator = services.orchestrator
        self._actor = actor
        self._new = NewRepl(services, actor)
        self._shared_ids: set[str] = set()  # also of those that are gone: an owner may take one back from the trash
        self.changes = self._orchestrator.subscribe(owner_id=actor.user_id, also=self._shared_ids)
        self.shared_changes = services.members.subscribe(actor.user_id)
        self._filling = asyncio.Lock()
        self._shapes: dict[int, object] = {}  # of the sections as they are, by their element's id
        self._cards: dict[str, Card] = {}
        with ui.element("div").classes("dx-row"):
            text("Your REPLs", "dx-title dx-grow", tag="h1")
            button("New REPL", self._new.open, icon_name="plus", kind="primary")
        self._body = ui.element("section").classes("dx-section").props('aria-label="Your REPLs"')
        self._shared = ui.element("section").classes("dx-section").props('aria-label="Shared with you"')
        self._trash = ui.element("section").classes("dx-section").props('aria-label="Trash"')

    async def follow(self, changes: AsyncIterator[object]) -> None:
        """Show every one of them, from whichever page or idle stop it comes."""
        async for _ in changes:
            try:
                await self.fill()
            except Exception as error:  # the outer edge: the next change shows this one, too
                if not self._body.is_deleted:
                    with self._body:
                        say_failed(error)

    async def fill(self) -> None:
        """Show the REPLs as they are; the elements change only where one came, went or moved."""
        async with self._filling:  # what was asked for first is older
            repls = await self._orchestrator.list(self._actor.user_id)
            shared = await self._services.members.shared_with(self._actor.user_id, self._orchestrator)
            deleted = await self._orchestrator.list(self._actor.user_id, trash=True)
            if self._body.is_deleted:
                return
            self._shared_ids.update(one.repl.id for one in shared)
            roles = [(one.repl.id, one.role) for one in shared]
            purges = [(repl.id, repl.purge_at) for repl in deleted]
            self._lay_out(self._body, [repl.id for repl in repls], lambda: self._lay_out_own(repls))
            self._lay_out(self._shared, roles, lambda: self._lay_out_shared(shared))
            self._lay_out(self._trash, purges, lambda: self._lay_out_trash(deleted))
            shown = (*repls, *(one.repl for one in shared))
            self._cards = {repl.id: self._cards[repl.id] for repl in shown}
            for repl in shown:
                self._cards[repl.id].set_repl(repl)

    def _lay_out(self, section: ui.element, shape: object, lay_out: Callable[[], None]) -> None:
        """Anew, if it is to have another shape: what others do replaces no card of one's own while it is pressed."""
        if self._shapes.get(section.id) != shape:
            self._shapes[section.id] = shape
            section.clear()
            with section:
                lay_out()

    def _lay_out_own(self, repls: list[Repl]) -> None:
        if not repls:
            self._empty()
        with ui.element("div").classes("dx-cards"):
            for repl in repls:
                self._cards[repl.id] = Card(repl, self._title_of(repl), act=self._act, role=ReplRole.OWNER)

    def _lay_out_shared(self, shared: list[Shared]) -> None:
        if shared:
            text("Shared with you", "dx-subtitle", tag="h2")
            with ui.element("div").classes("dx-cards"):
                for one in shared:
                    about = f"{self._title_of(one.repl)} · {shared_words(one.owner, one.role)}"
                    self._cards[one.repl.id] = Card(one.repl, about, act=self._act, role=one.role)

    def _lay_out_trash(self, deleted: list[Repl]) -> None:
        if deleted:
            text("Trash", "dx-subtitle", tag="h2")
            with ui.element("div").classes("dx-panel dx-list"):
                for repl in deleted:
                    self._deleted(repl)

    def _title_of(self, repl: Repl) -> str:
        template = self._orchestrator.templates.get(repl.template)
        return template.title if template else repl.template

    def _empty(self) -> None:
        with ui.element("div").classes("dx-empty"):
            text("Nothing here yet", "dx-title", tag="h2")
            text("A REPL is a place of its own to write and run code. It is ready in a second.", "dx-muted", tag="p")
            button("Create your first REPL", self._new.open, icon_name="plus", kind="primary")

    def _deleted(self, repl: Repl) -> None:
        with ui.element("div"):
            tile(repl.template)
            with ui.element("div").classes("dx-grow"):
                text(repl.name, tag="div")
                if repl.purge_at:
                    text(f"Removed for good on {repl.purge_at:%-d %B %Y}", "dx-hint")
            button("Restore", lambda: self._undelete(repl), icon_name="restore", small=True)
            button("Delete for good", lambda: self._purge(repl), icon_name="trash", kind="quiet", small=True)

    async def _act(self, what: Deed, repl: Repl) -> None:
        """Do what was pressed. Rights are asked for after a question: it may stand open for hours."""
        match what:
            case "start":
                await self._attempt(Action.START, repl, lambda: self._orchestrator.start(repl.id))
            case "stop":
                await self._attempt(Action.STOP, repl, lambda: self._orchestrator.stop(repl.id))
            case "rename":
                await self._rename(repl)
            case "fork":
                await self._attempt(Action.FORK, repl, lambda: self._fork(repl))
            case "delete":
                await self._delete(repl)
            case "leave":
                await self._leave(repl)
            case _:
                assert_never(what)

    async def _attempt(self, action: Action, repl: Repl, work: Callable[[], Awaitable[object]]) -> None:
        await attempt(work, self._services, self._actor, action, repl.id)

    async def _rename(self, repl: Repl) -> None:
        name = await ask_text("Rename", label="Name", value=repl.name, submit="Rename")
        if name and name != repl.name:
            await self._attempt(Action.RENAME, repl, lambda: self._orchestrator.rename(repl.id, name))

    async def _fork(self, repl: Repl) -> None:
        copy = await self._orchestrator.fork(repl.id, self._actor.user_id)
        ui.navigate.to(f"/repl/{copy.id}")

    async def _delete(self, repl: Repl) -> None:
        async def delete() -> None:
            await self._orchestrator.delete(repl.id)
            told(f"{repl.name} is in the trash.")

        explanation = "It is stopped and goes to the trash. You can restore it from there."
        if await ask_sure(f"Delete “{repl.name}”?", explanation=explanation, action="Delete"):
            await self._attempt(Action.DELETE, repl, delete)

    async def _leave(self, repl: Repl) -> None:
        explanation = "You can open it again only when its owner lets you in again."
        if await ask_sure(f"Leave “{repl.name}”?", explanation=explanation, action="Leave"):
            leave = partial(self._services.members.remove, repl.id, self._actor.user_id)
            await self._attempt(Action.LEAVE, repl, leave)

    async def _undelete(self, repl: Repl) -> None:
        await self._attempt(Action.DELETE, repl, lambda: self._orchestrator.undelete(repl.id))

    async def _purge(self, repl: Repl) -> None:
        explanation = "Its files are removed now. Nobody can bring them back."
        if await ask_sure(f"Delete “{repl.name}” for good?", explanation=explanation, action="Delete for good"):
            await self._attempt(Action.DELETE, repl, lambda: self._orchestrator.purge(repl.id))
