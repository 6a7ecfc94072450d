"""A user's account: appearance, password, the browsers that are signed in, the tokens of scripts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from nicegui import ui

from app.access import Access, Action, Actor, allowed
from app.accounts import OpenSession
from app.pages.frame import PAGE_DEADLINE_S, attempt, keep_theme, kept_theme, page, section
from app.pages.sign_in import NEW_PASSWORD
from app.pages.tokens import Tokens
from app.pages.words import ago, browser_words
from app.services import Services
from components.controls import button, icon, text
from components.form import Field, Form
from components.theme import THEMES, Theme

OLD = Field(name="old", label="Current password", type="password", autocomplete="current-password")
NEW = Field(
    name="new",
    label="New password",
    type="password",
    autocomplete="new-password",
    hint=NEW_PASSWORD.hint,
    min_length=NEW_PASSWORD.min_length,
)


def register(services: Services) -> None:
    """Add /account."""

    @ui.page("/account", response_timeout=PAGE_DEADLINE_S)
    async def account_page(access: Annotated[Access, allowed(Action.ACCOUNT)], changed: str = "") -> None:
        actor = access.actor
        with page("Account", actor, narrow=True) as dark_mode:
            text("Account", "dx-title", tag="h1")
            text(f"Signed in as {actor.name}", "dx-muted", tag="p")
            with section("Appearance"):
                _themes(dark_mode)
            with section("Password"):
                if changed:
                    with ui.element("div").classes("dx-row dx-done").props("role=status"):
                        icon("check")
                        text("Your password is changed. Other browsers are signed out, and tokens revoked.")
                Form([OLD, NEW], url="/api/account/password", submit="Change password", then="/account?changed=1")
            with section("Signed-in browsers"):
                await _Sessions(services, actor).fill()
            with section("Tokens for scripts"):
                await Tokens(services, actor).fill()


def _themes(dark_mode: ui.dark_mode) -> None:
    buttons: dict[Theme, ui.element] = {}

    def show(chosen: Theme) -> None:
        for theme, pressed in buttons.items():
            pressed.props(f"aria-pressed={str(theme == chosen).lower()}")

    def choose(theme: Theme) -> Callable[[], None]:
        def press() -> None:
            keep_theme(theme, dark_mode)
            show(theme)

        return press

    with ui.element("div").classes("dx-segments").props('role=group aria-label="Theme"'):
        for theme in THEMES:
            with ui.element("button").props("type=button") as buttons[theme]:
                text("System" if theme == "auto" else theme.capitalize())
            buttons[theme].on("click", choose(theme))
    show(kept_theme())


class _Sessions:
    """The browsers of one user, each with a button that signs it out."""

    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._actor = actor
        self._list = ui.element("div").classes("dx-list")

    async def fill(self) -> None:
        sessions = await self._services.accounts.sessions.of(self._actor)
        self._list.clear()
        with self._list:
            for session in sessions:
                self._row(session)

    def _row(self, session: OpenSession) -> None:
        here = session.id == self._actor.session_id
        with ui.element("div"):
            icon("globe")
            with ui.element("div").classes("dx-grow"):
                text(browser_words(session.browser), tag="div")
                seen = "this browser" if here else f"seen {ago(session.seen_at, datetime.now(UTC))}"
                text(f"Signed in {session.created_at:%-d %B %Y} · {seen}", "dx-hint")
            if not here:
                button("Sign out", lambda: self._end(session.id), small=True)

    async def _end(self, session_id: str) -> None:
        async def end() -> None:
            await self._services.accounts.sessions.end(self._actor, session_id)
            await self.fill()

        await attempt(end, self._services, self._actor, Action.ACCOUNT)
