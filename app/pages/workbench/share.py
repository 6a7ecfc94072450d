"""The dialog in which the owner of a REPL lets others in."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from app.access import Access, Action, MemberRole, ReplRole
from app.accounts.names import NAME_MOST_CHARACTERS
from app.members import Member
from app.pages.frame import attempt, named_dialog
from app.services import Services
from components.controls import button, icon, set_label, text, told

_CALLED = {ReplRole.EDITOR: "an editor", ReplRole.VIEWER: "a viewer"}


class Share:
    """Who is in, and a line to let somebody in. `open` shows it."""

    def __init__(self, services: Services, access: Access) -> None:
        self._services = services
        self._members = services.members
        self._access = access
        self._repl = access.the_repl
        with named_dialog("Share this REPL") as self._dialog, ui.card().classes("dx-dialog-body"):
            text("Share this REPL", "dx-dialog-title", tag="h2")
            explanation = (
                "Editors type, run and edit in it as you do; viewers look. They find it under Shared with you."
            )
            text(explanation, "dx-muted", tag="p")
            self._name = ui.input("User name").props(f"outlined dense autofocus maxlength={NAME_MOST_CHARACTERS}")
            self._name.on("keydown.enter", lambda: self._let_in(ReplRole.EDITOR))
            with ui.element("div").classes("dx-row"):
                button("Add as editor", lambda: self._let_in(ReplRole.EDITOR), kind="primary")
                button("Add as viewer", lambda: self._let_in(ReplRole.VIEWER))
            self._list = ui.element("div").classes("dx-list")
            with ui.element("div").classes("dx-dialog-actions"):
                button("Done", self._dialog.close)

    async def open(self) -> None:
        """Show who is in."""
        await self._attempt(self._show)

    async def _show(self) -> None:
        await self._fill()
        self._dialog.open()

    async def _fill(self) -> None:
        members = await self._members.of(self._repl.id)
        self._list.clear()
        with self._list:
            if not members:
                text("Nobody but you is in this REPL.", "dx-hint", tag="p")
            for member in members:
                self._row(member)

    def _row(self, member: Member) -> None:
        other: MemberRole = ReplRole.VIEWER if member.role is ReplRole.EDITOR else ReplRole.EDITOR
        label = f"Make {_CALLED[other]}"
        with ui.element("div"):
            icon("user")
            with ui.element("div").classes("dx-grow"):
                text(member.name, tag="div")
                text(_CALLED[member.role], "dx-hint")
            change = button(label, self._making(member.name, other), small=True)
            set_label(change, f"Make {member.name} {_CALLED[other]}")
            remove = button("Remove", self._removing(member), kind="danger", small=True)
            set_label(remove, f"Remove {member.name}")

    async def _let_in(self, role: MemberRole) -> None:
        name = (self._name.value or "").strip()
        if name:
            await self._making(name, role)()

    def _making(self, name: str, role: MemberRole) -> Callable[[], Awaitable[None]]:
        async def make() -> None:
            member = await self._members.let_in(self._repl, name, role)
            self._name.value = ""
            told(f"{member.name} is {_CALLED[role]} now.")
            await self._fill()

        return lambda: self._attempt(make)

    def _removing(self, member: Member) -> Callable[[], Awaitable[None]]:
        async def remove() -> None:
            await self._members.remove(self._repl.id, member.user_id)
            told(f"{member.name} is no longer in this REPL.")
            await self._fill()

        return lambda: self._attempt(remove)

    async def _attempt(self, work: Callable[[], Awaitable[object]]) -> None:
        await attempt(work, self._services, self._access.actor, Action.SHARE, self._repl.id)
