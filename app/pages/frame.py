"""What pages share: the look, the bar at the top, dialogs that ask, work that ends with the page."""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from typing import Any

from nicegui import app, background_tasks, ui
from nicegui.client import Client

from app.access import Action, Actor, recheck
from app.errors import public_error
from app.services import Services
from components import theme
from components.controls import button, failed, icon, icon_button, link, text

THEME_KEY = "theme"
PAGE_DEADLINE_S = 15.0  # NiceGUI gives up on a page after 3 s by default, which a busy machine can take


def kept_theme() -> theme.Theme:
    """The theme this browser's user chose."""
    chosen = app.storage.user.get(THEME_KEY, "auto")
    return chosen if chosen in theme.THEMES else "auto"


def keep_theme(chosen: theme.Theme, dark_mode: ui.dark_mode) -> None:
    """Choose a theme, here and on the pages to come."""
    app.storage.user[THEME_KEY] = chosen
    dark_mode.value = theme.IS_DARK[chosen]


def dress(title: str) -> ui.dark_mode:
    """Give the page that is being built its look and its title."""
    ui.page_title(f"{title} · DEVEX")
    return theme.use(kept_theme())


def brand_mark() -> None:
    """The sign, as a link to the user's REPLs."""
    with link("", "/", "dx-brand").props('aria-label="Your REPLs" title="Your REPLs"'), logo():
        icon("command")


def logo() -> ui.element:
    """The square the sign stands in."""
    return ui.element("span").classes("dx-logo")


@contextmanager
def page(title: str, actor: Actor, *, narrow: bool = False) -> Iterator[ui.dark_mode]:
    """An ordinary page: the bar, then what is built inside the `with`."""
    dark_mode = dress(title)
    with ui.element("header").classes("dx-top"):
        brand_mark()
        text("DEVEX", "dx-brand dx-grow")
        with icon_button("user", f"Account of {actor.name}"), ui.menu().props("auto-close"):
            with ui.element("div").classes("dx-menu-item"):
                text(actor.name, "dx-muted")
            ui.element("div").classes("dx-menu-line")
            menu_item("user", "Account", lambda: ui.navigate.to("/account"))
            if actor.is_admin:
                menu_item("users", "Administration", lambda: ui.navigate.to("/admin"))
            menu_item("sign-out", "Sign out", sign_out)
    with ui.element("div").classes("dx-page dx-page-narrow" if narrow else "dx-page"):
        yield dark_mode


def sign_out() -> None:
    """By HTTP: only a response can take the cookie away."""
    ui.run_javascript("fetch('/api/session', {method: 'DELETE'}).finally(() => location.assign('/sign-in'))")


def menu_item(icon_name: str, label: str, on_press: Any) -> ui.element:
    """An entry of a ui.menu."""
    with ui.element("button").classes("dx-menu-item").props("type=button role=menuitem v-close-popup") as item:
        icon(icon_name)
        text(label)
    return item.classes("dx-menu-button").on("click", on_press)


def named_dialog(title: str) -> ui.dialog:
    """A dialog that screen readers announce by its title."""
    dialog = ui.dialog()
    dialog._props["aria-label"] = title
    return dialog


async def ask_text(title: str, *, label: str, value: str, submit: str) -> str | None:
    """Ask for one line; None when the user thinks better of it."""
    with named_dialog(title) as dialog, ui.card().classes("dx-dialog-body"):
        text(title, "dx-dialog-title", tag="h2")
        field = ui.input(label, value=value).props("outlined dense autofocus maxlength=80")
        field.on("keydown.enter", lambda: dialog.submit(field.value))
        with ui.element("div").classes("dx-dialog-actions"):
            button("Cancel", dialog.close)
            button(submit, lambda: dialog.submit(field.value), kind="primary")
    return await _answer(dialog)


async def ask_sure(title: str, *, explanation: str, action: str) -> bool:
    """Ask before something is lost."""
    with named_dialog(title) as dialog, ui.card().classes("dx-dialog-body"):
        text(title, "dx-dialog-title", tag="h2")
        text(explanation, "dx-muted", tag="p")
        with ui.element("div").classes("dx-dialog-actions"):
            button("Cancel", dialog.close)
            button(action, lambda: dialog.submit("yes"), kind="primary").classes("dx-btn-danger")
    return await _answer(dialog) == "yes"


async def _answer(dialog: ui.dialog) -> str | None:
    try:
        answer: str | None = await dialog
    finally:
        dialog.delete()
    return answer


async def attempt(
    work: Callable[[], Awaitable[object]],
    services: Services,
    actor: Actor,
    action: Action,
    repl_id: str | None = None,
    *,
    hold: AbstractAsyncContextManager[object] | None = None,
) -> None:
    """Do what was pressed if it is still allowed: a page may have been open for days. Says what went wrong.

    `hold` ends what is done, and may take long, when the right to it ends.
    """
    try:
        async with hold or nullcontext():  # from before it is asked for
            await recheck(services, actor, action, repl_id)
            await work()
    except Exception as error:  # the outer edge: nobody above shows anything to who pressed
        say_failed(error)


def say_failed(error: Exception) -> None:
    """Show it in the page whose element is entered."""
    told = public_error(error)
    failed(told.message, told.action)


def while_shown(client: Client, work: Coroutine[Any, Any, None], *, name: str) -> None:
    """Run `work` until it ends or the page is gone, which may have happened while the page was built."""
    if client.is_deleted:
        work.close()
        return
    task = background_tasks.create(work, name=name)
    client.on_delete(task.cancel)


@contextmanager
def section(title: str) -> Iterator[None]:
    """A titled box of a page."""
    with ui.element("section").classes("dx-section"):
        text(title, "dx-subtitle", tag="h2")
        with ui.element("div").classes("dx-panel dx-panel-body"):
            yield
