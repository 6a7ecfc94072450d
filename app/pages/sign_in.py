"""Signing in, signing up and the first administrator's set-up. The forms talk to the API: it sets the cookie."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi.responses import RedirectResponse, Response
from nicegui import ui

from app.access import Access, Action, allowed
from app.accounts.passwords import PASSWORD_LEAST_CHARACTERS
from app.pages.frame import dress, logo
from app.services import Services
from components.controls import icon, link, text
from components.form import Field, Form
from runner.previews.hosts import local_path

FIRST_ACCOUNT = "The first account is the administrator's: it invites the others and sees what this machine can do."
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
NEW_USER = (NAME, NEW_PASSWORD)


def register(services: Services) -> None:
    """Add /sign-in, /sign-up and /setup."""
    sign_up = services.settings.sign_up

    @ui.page("/sign-in")
    async def sign_in_page(access: Visit, then: str = "/") -> Response | None:
        if access.actor.signed_in:
            return RedirectResponse(local_path(then))
        hint = NOBODY_YET if await services.accounts.nobody_yet() else ""
        with _card("Sign in", hint=hint):
            Form([NAME, PASSWORD], focus=True, url="/api/session", submit="Sign in", then=local_path(then))
            if sign_up == "open":
                _aside("New here?", "Create an account", "/sign-up")
        return None

    @ui.page("/sign-up")
    async def sign_up_page(access: Visit, invite: str = "") -> Response | None:
        if access.actor.signed_in:
            return RedirectResponse("/")
        with _card("Create your account"):
            extra = {"invite": invite}
            Form(NEW_USER, focus=True, url="/api/users", submit="Create account", then="/", extra=extra)
            _aside("Already have an account?", "Sign in", "/sign-in")
        return None

    @ui.page("/setup")
    async def setup_page(access: Visit, token: str = "") -> None:
        with _card("Set up DEVEX", hint=FIRST_ACCOUNT):
            extra = {"token": token}
            Form(NEW_USER, focus=True, url="/api/setup", submit="Create the administrator", then="/", extra=extra)


@contextmanager
def _card(title: str, *, hint: str = "") -> Iterator[None]:
    """A page that is one card in the middle; the form is built inside the `with`."""
    dress(title)
    with ui.element("div").classes("dx-sign"), ui.element("div").classes("dx-sign-card"):
        with ui.element("div").classes("dx-row"):
            with logo():
                icon("command")
            text(title, "dx-title", tag="h1")
        if hint:
            text(hint, "dx-muted", tag="p")
        yield


def _aside(question: str, answer: str, target: str) -> None:
    with ui.element("p").classes("dx-muted"):
        text(f"{question} ")
        link(answer, target)
