"""The bar at the top of the workbench."""

from nicegui import ui

from app.access import Action, ReplRole
from app.pages.frame import brand_mark, menu_item
from app.pages.workbench.commands import START_IT, STOP_IT, Do
from components.controls import icon, icon_button, set_shown, text
from orchestrator.domain import Goal, Repl


class Header:
    """Name, phase, Run or Stop, and the ways to everything else; `do` carries out a command."""

    def __init__(self, repl: Repl, *, role: ReplRole, do: Do) -> None:
        self._running = False
        self._role = role
        with ui.element("header").classes("dx-wb-top"):
            brand_mark()
            self._name = text(repl.name, "dx-wb-name", tag="h1")
            self._phase = text("", "dx-chip dx-wide")
            if not role.may(Action.WRITE):
                with ui.element("span").classes("dx-chip"):
                    icon("eye")
                    text("View only")
            ui.element("span").classes("dx-grow")
            self._find(do)
            with ui.element("button").classes("dx-btn dx-run").props("type=button") as self._run:
                self._run_icon = icon("play")
                self._run_text = text("Run")
            self._run.on("click", lambda: do("stop" if self._running else "run"))
            set_shown(self._run, role.may(Action.WRITE))
            ui.element("span").classes("dx-grow")
            icon_button("sidebar", "Files (Ctrl+B)", lambda: do("files")).classes("dx-wide")
            icon_button("terminal", "Panel (Ctrl+J)", lambda: do("panel")).classes("dx-wide")
            if role.may(Action.PREVIEW):
                icon_button("globe", "Preview", lambda: do("preview")).classes("dx-wide")
            icon_button("history", "History", lambda: do("history")).classes("dx-wide")
            icon_button("sun", "Light or dark", lambda: do("theme"))
            if role.may(Action.SHARE):
                icon_button("users", "Share", lambda: do("share")).classes("dx-wide")
            self._menu(repl, role, do)
        self.set_repl(repl)
        self.set_running(running=False)

    def set_repl(self, repl: Repl) -> None:
        """Show name and phase."""
        self._name.set_text(repl.name)
        self._phase.set_text(repl.phase.value.capitalize())
        self._phase.props(f"data-phase={repl.phase.value}")
        runs = repl.goal is Goal.RUN
        for item, is_shown in (
            (self._start, not runs and self._role.may(Action.START)),
            (self._sleep, runs and self._role.may(Action.STOP)),
        ):
            set_shown(item, is_shown)

    def set_running(self, *, running: bool) -> None:
        """Offer Stop while a program runs, Run otherwise."""
        self._running = running
        self._run.props(f"data-running={str(running).lower()}")
        self._run_text.set_text("Stop" if running else "Run")
        self._run_icon.classes(replace=f"dx-i dx-i-{'stop' if running else 'play'}")

    def _find(self, do: Do) -> None:
        with ui.element("button").classes("dx-btn dx-wb-find").props("type=button") as find:
            icon("search")
            text("Go to file or command")
            text("Ctrl+P", tag="kbd")
        find.on("click", lambda: do("find"))

    def _menu(self, repl: Repl, role: ReplRole, do: Do) -> None:
        with icon_button("more", "More"), ui.menu().props("auto-close"):
            menu_item("command", "All commands", lambda: do("commands"))
            menu_item("search", "Find in files", lambda: do("search"))
            menu_item("history", "History", lambda: do("history"))
            menu_item("download", "Download as zip", lambda: ui.navigate.to(f"/repls/{repl.id}/zip"))
            if role.may(Action.SHARE):
                menu_item("users", "Share", lambda: do("share"))
            ui.element("div").classes("dx-menu-line")
            self._start = menu_item("play", START_IT, lambda: do("start"))
            self._sleep = menu_item("stop", STOP_IT, lambda: do("sleep"))
            menu_item("back", "Your REPLs", lambda: do("home"))
