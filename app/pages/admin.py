"""The administrator's page: users, invitations, and what the machine can and cannot do."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from nicegui import ui

from app.access import Access, Action, Actor, Role, allowed
from app.accounts import UserInfo
from app.accounts.links import invitation_url
from app.pages.frame import PAGE_DEADLINE_S, ask_sure, attempt, page, section, while_shown
from app.services import Services
from components.controls import button, icon, set_shown, text, told
from orchestrator.backends.base import Check

TONES = {True: ("check", "ok"), False: ("warning", "danger"), None: ("warning", "warn")}

# Not by the clipboard interface: over plain http it is not there.
COPY = """(event) => {
    event.currentTarget.parentElement.querySelector("input").select();
    if (document.execCommand("copy")) emit();
}"""


def register(services: Services) -> None:
    """Add /admin."""

    @ui.page("/admin", response_timeout=PAGE_DEADLINE_S)
    async def admin_page(access: Annotated[Access, allowed(Action.ADMINISTER)]) -> None:
        with page("Administration", access.actor, narrow=True):
            text("Administration", "dx-title", tag="h1")
            administration = _Administration(services, access.actor)
            await administration.fill_users()
        while_shown(ui.context.client, administration.fill_checks(), name="doctor")


class _Administration:
    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._actor = actor
        with section("Invite somebody"):
            self._invitation()
        with section("Users"):
            self._users = ui.element("div").classes("dx-list")
        with section("This machine"):
            self._checks = ui.element("div").classes("dx-list")
            with self._checks, ui.element("div"):
                ui.element("span").classes("dx-spin")
                text("Looking…", "dx-muted")

    async def fill_checks(self) -> None:
        """Looks at the machine, which can take some seconds."""
        checks = await self._services.orchestrator.backend.doctor()
        self._checks.clear()
        with self._checks:
            for check in checks:
                _check(check)

    def _invitation(self) -> None:
        text("A link with which one person can make an account within seven days.", "dx-muted", tag="p")
        with ui.element("div").classes("dx-row dx-wrap"):
            button("Make a link", self._invite, icon_name="link", kind="primary")
            with ui.element("div").classes("dx-row dx-grow dx-hidden") as self._made:
                self._link = ui.input("Link to send").props("outlined dense readonly").classes("dx-grow")
                copy = button("Copy", icon_name="copy")
                copy.on("click", lambda: told("The link is copied."), js_handler=COPY)

    async def _invite(self) -> None:
        async def make() -> None:
            token = await self._services.accounts.invite()
            self._link.value = invitation_url(self._services.settings.origin, token)
            set_shown(self._made, True)

        await self._attempt(make)

    async def fill_users(self) -> None:
        """Show the users as they are."""
        users = await self._services.accounts.users()
        self._users.clear()
        with self._users:
            for user in users:
                self._user(user)

    def _user(self, user: UserInfo) -> None:
        with ui.element("div"):
            icon("user")
            with ui.element("div").classes("dx-grow"):
                text(user.name, tag="div")
                state = "disabled" if user.disabled else user.role.value
                text(f"{state.capitalize()} · since {user.created_at:%-d %B %Y}", "dx-hint")
            if user.id == self._actor.user_id:
                return
            other = Role.USER if user.role is Role.ADMIN else Role.ADMIN
            button(f"Make {other.value}", self._role(user, other), small=True)
            if user.disabled:
                button("Enable", self._disabling(user, disabled=False), small=True)
            else:
                button("Disable", self._disabling(user, disabled=True), kind="danger", small=True)

    def _role(self, user: UserInfo, role: Role) -> Callable[[], Awaitable[None]]:
        async def press() -> None:
            await self._attempt(lambda: self._services.accounts.set_role(user.id, role))

        return press

    def _disabling(self, user: UserInfo, *, disabled: bool) -> Callable[[], Awaitable[None]]:
        async def press() -> None:
            explanation = (
                "They are signed out everywhere and cannot sign in. "
                "Their REPLs stay as they are, also for those whom they have let in."
            )
            if disabled and not await ask_sure(f"Disable {user.name}?", explanation=explanation, action="Disable"):
                return
            await self._attempt(lambda: self._services.accounts.set_disabled(user.id, disabled))

        return press

    async def _attempt(self, do: Callable[[], Awaitable[None]]) -> None:
        async def then_show() -> None:
            await do()
            await self.fill_users()

        await attempt(then_show, self._services, self._actor, Action.ADMINISTER)


def _check(check: Check) -> None:
    icon_name, tone = TONES[check.ok]
    with ui.element("div"):
        icon(icon_name).classes(f"dx-tone-{tone}")
        with ui.element("div").classes("dx-grow"):
            text(check.name[:1].upper() + check.name[1:], tag="div")
            text(f"{check.detail} {check.action if not check.ok else ''}".strip(), "dx-hint")
