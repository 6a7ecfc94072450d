"""Small parts every page is made of: plain HTML in the style of theme.css, a label on all that can be pressed."""

from collections.abc import Awaitable, Callable
from typing import Literal

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

Pressed = Callable[[], Awaitable[None] | None]
Kind = Literal["plain", "primary", "danger", "quiet"]


def text(content: str, classes: str = "", *, tag: str = "span") -> TextElement:
    """A piece of text in an element of its own."""
    return TextElement(tag=tag, text=content).classes(classes)


def icon(name: str) -> ui.element:
    """An icon of icons.json; says nothing to screen readers."""
    return ui.element("i").classes(f"dx-i dx-i-{name}").props("aria-hidden=true")


def button(
    label: str, on_press: Pressed | None = None, *, icon_name: str = "", kind: Kind = "plain", small: bool = False
) -> ui.element:
    """A button with a text; add attributes with .props()."""
    with ui.element("button").classes(f"dx-btn dx-btn-{kind}").props("type=button") as pressed:
        if icon_name:
            icon(icon_name)
        text(label)
    if small:
        pressed.classes("dx-btn-small")
    if on_press:
        pressed.on("click", on_press)
    return pressed


def icon_button(icon_name: str, label: str, on_press: Pressed | None = None) -> ui.element:
    """A button that shows only an icon; its label is its tooltip and its name."""
    with ui.element("button").classes("dx-btn dx-btn-quiet dx-btn-icon").props("type=button") as pressed:
        icon(icon_name)
    set_label(pressed, label)
    if on_press:
        pressed.on("click", on_press)
    return pressed


def set_label(element: ui.element, label: str) -> None:
    """Say what an element without text is: to screen readers, and as a tooltip."""
    element._props.update({"aria-label": label, "title": label})
    element.update()


def set_shown(element: ui.element, shown: bool) -> None:
    """Show it, or take it out of the page until it is shown again."""
    element.classes(add="" if shown else "dx-hidden", remove="dx-hidden" if shown else "")


def link(label: str, target: str, classes: str = "") -> TextElement:
    """A link within the application."""
    anchor = text(label, classes, tag="a")
    anchor._props["href"] = target
    return anchor


def failed(message: str, action: str) -> None:
    """Tell the user what went wrong and what to do."""
    ui.notify(f"{message} {action}", type="negative", position="bottom-right", timeout=8000, close_button="Close")


def warned(message: str) -> None:
    """Tell the user what must not be missed: it stays until it is closed."""
    ui.notify(message, type="warning", position="bottom-right", timeout=0, multi_line=True, close_button="Close")


def told(message: str) -> None:
    """Tell the user that something is done."""
    ui.notify(message, position="bottom-right", timeout=2500)
