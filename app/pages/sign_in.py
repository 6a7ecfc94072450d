"""Signing in, signing up and the first administrator's set-up. The forms talk to the API: it sets the cookie."""

from collections.abc import Sequence
from typing import Annotated

from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from app.access import Access, Action, allowed, local_path
from app.accounts.passwords import PASSWORD_LEAST_CHARACTERS
from app.pages.frame import dress
from app.services import Services
from components.controls import icon, link, text
from components.form import Field, Form

NOBODY_YET = "Nobody has an account here yet. Open the set-up link that the server printed when it started."

Visit = Annotated[Access, allowed(Action.VISIT)]

NAME = Field(name="name", label="User name", autocomplete="username")
NEW_PASSWORD = Field(
    name="password",
    label="Password",
    type="password",
    autocomplete="new-password",
    hint=f"At least {PASSWORD_LEAST_CHARACTERS} characters.",
    min_length=PASSWORD_LEAST_CHARACTERS,
)
PASSWORD = Field(name="password", label="Password", type="password", autocomplete="current-password")


def register(services: Services) -> None:
    """Add /sign-in, /sign-up and /setup."""
    sign_up = services.settings.sign_up

    @ui.page("/sign-in")
    async def sign_in_page(access: Visit, then: str = "/") -> Response | None:
        if access.actor.signed_in:
            return RedirectResponse(local_path(then))
        hint = NOBODY_YET if await services.accounts.nobody_yet() else ""
        _card("Sign in", [NAME, PASSWORD], url="/api/session", submit="Sign in", then=local_path(then), hint=hint)
        return None

    @ui.page("/sign-up")
    async def sign_up_page(access: Visit, invite: str = "") -> Response | None:
        if access.actor.signed_in:
            return RedirectResponse("/")
        _card("Create your account", [NAME, NEW_PASSWORD], url="/api/users", submit="Create account", invite=invite)
        return None

    @ui.page("/setup")
    async def setup_page(access: Visit, token: str = "") -> None:
        _card("Set up DEVEX", [NAME, NEW_PASSWORD], url="/api/setup", submit="Create the administrator", token=token)

    def _card(
        title: str, fields: Sequence[Field], *, url: str, submit: str, then: str = "/", hint: str = "", **extra: str
    ) -> None:
        dress(title)
        with ui.element("div").classes("dx-sign"), ui.element("div").classes("dx-sign-card"):
            with ui.element("div").classes("dx-row"):
                with ui.element("span").classes("dx-logo"):
                    icon("command")
                text(title, "dx-title", tag="h1")
            if hint:
                text(hint, "dx-muted", tag="p")
            Form(fields, focus=True, url=url, submit=submit, then=then, extra={k: v for k, v in extra.items() if v})
            if url == "/api/session" and sign_up == "open":
                _aside("New here?", "Create an account", "/sign-up")
            if url == "/api/users":
                _aside("Already have an account?", "Sign in", "/sign-in")


def _aside(question: str, answer: str, target: str) -> None:
    with ui.element("p").classes("dx-muted"):
        text(f"{question} ")
        link(answer, target)
