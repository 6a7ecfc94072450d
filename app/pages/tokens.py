"""The tokens of a user's scripts: made, shown once, listed, revoked."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from nicegui import ui

from app.access import Action, Actor
from app.accounts import OpenToken
from app.accounts.sessions import TOKEN_DAYS, TOKEN_NAME_MOST_CHARACTERS
from app.pages.admin import COPY
from app.pages.frame import ask_sure, attempt
from app.pages.words import ago
from app.services import Services
from components.controls import button, icon, set_label, set_shown, text, told


class Tokens:
    """Built where it is made; `fill` shows what there is."""

    def __init__(self, services: Services, actor: Actor) -> None:
        self._services = services
        self._actor = actor
        explanation = f"A script that sends one may use your REPLs as you do, for {TOKEN_DAYS} days."
        text(explanation, "dx-muted", tag="p")
        with ui.element("div").classes("dx-row dx-wrap"):
            self._name = ui.input("What it is for").props(f"outlined dense maxlength={TOKEN_NAME_MOST_CHARACTERS}")
            self._name.classes("dx-grow").on("keydown.enter", self._make)
            button("Make a token", self._make, icon_name="command", kind="primary")
        with ui.element("div").classes("dx-row dx-wrap dx-hidden") as self._made:
            self._token = ui.input("The token: it is shown this once").props("outlined dense readonly")
            self._token.classes("dx-grow")
            copy = button("Copy", icon_name="copy")
            copy.on("click", lambda: told("The token is copied."), js_handler=COPY)
        self._list = ui.element("div").classes("dx-list")

    async def fill(self) -> None:
        tokens = await self._services.accounts.sessions.tokens(self._actor)
        self._list.clear()
        with self._list:
            for token in tokens:
                self._row(token)

    def _row(self, token: OpenToken) -> None:
        with ui.element("div"):
            icon("command")
            with ui.element("div").classes("dx-grow"):
                text(token.name, tag="div")
                times = [f"Made {token.created_at:%-d %B %Y}", f"ends {token.expires_at:%-d %B %Y}"]
                if token.seen_at > token.created_at:  # written once an hour
                    times.append(f"used {ago(token.seen_at, datetime.now(UTC))}")
                text(" · ".join(times), "dx-hint")
            revoke = button("Revoke", self._revoking(token), kind="danger", small=True)
            set_label(revoke, f"Revoke {token.name}")

    async def _make(self) -> None:
        async def make() -> None:
            actor, sessions = self._actor, self._services.accounts.sessions
            _, token = await sessions.new_token(actor.user_id, self._name.value or "", session_id=actor.session_id)
            self._token.value = token
            self._name.value = ""
            set_shown(self._made, True)
            await self.fill()

        await attempt(make, self._services, self._actor, Action.ACCOUNT)

    def _revoking(self, token: OpenToken) -> Callable[[], Awaitable[None]]:
        async def revoke() -> None:
            await self._services.accounts.sessions.end(self._actor, token.id)
            set_shown(self._made, False)
            await self.fill()

        async def press() -> None:
            explanation = "Scripts that send it are refused from now on, and what they have open is closed."
            if await ask_sure(f"Revoke “{token.name}”?", explanation=explanation, action="Revoke"):
                await attempt(revoke, self._services, self._actor, Action.ACCOUNT)

        return press
