"""One record on the page: how it ended, what can be done with it, and what it wrote."""

from collections.abc import Awaitable, Callable
from functools import partial

from nicegui import ui

from app.pages.frame import menu_item
from app.pages.words import command_words, size_words, span
from app.pages.workbench.recorded.record import Record, record_ending
from components.controls import button, icon, icon_button, text
from components.terminal import RecordedScreen
from runner.proxy.records.rendering import missing_words

Again = Callable[[str], Awaitable[None]]


def show_ending(record: Record) -> None:
    """How it ended, after how long, with how much memory, and what it was."""
    if record.is_running:
        ui.element("span").classes("dx-spin")
        text("Running" if record.is_run else "Open")
    else:
        ending = record_ending(record)
        icon(ending.icon).props(f"data-tone={ending.tone}")
        text(f"{ending.words}{figures(record.duration_s, record.peak_bytes)}").props(f"data-tone={ending.tone}")
    text(name_of(record), tag="code")._props["title"] = record.command or record.title


def figures(duration_s: float | None, peak_bytes: int | None) -> str:
    """Behind how it ended: " after 1.2 s, 34 MB"."""
    duration = f" after {span(duration_s)}" if duration_s is not None else ""
    return f"{duration}, {size_words(peak_bytes)}" if peak_bytes else duration


def show_ways(repl_id: str, record: Record, on_again: Again | None) -> None:
    """Buttons on the right: run it again, where that is allowed and possible, and download what it wrote."""
    ui.element("span").classes("dx-grow")
    if on_again and record.can_run_again:
        again = button("Run again", partial(on_again, record.id), icon_name="reload", kind="primary", small=True)
        again._props["title"] = "Run the same command again"
    show_downloads(repl_id, record.id)


def show_downloads(repl_id: str, record_id: str) -> None:
    """A button with a menu of what an output can be downloaded as."""
    with icon_button("download", "Download what it wrote"), ui.menu().props("auto-close"):
        for form, label in (("text", "Download as text"), ("cast", "Download as asciicast")):
            menu_item("download", label, partial(ui.navigate.to, f"/repls/{repl_id}/records/{record_id}/{form}"))


def show_output(repl_id: str, record: Record, find: str = "") -> None:
    """What it wrote, and how much of that is gone."""
    if record.missing_bytes:
        text(f"{missing_words(record.missing_bytes)}.", "dx-runs-missing dx-muted", tag="p")
    with ui.element("div").classes("dx-pane-body"), ui.element("div").classes("dx-terminal-slot"):
        RecordedScreen(repl_id, record.id, size=record.size, find=find)


def name_of(record: Record) -> str:
    """What it is called in a list."""
    return command_words(record.command) if record.command else record.title
