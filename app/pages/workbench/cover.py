"""What the workbench shows while its REPL does not run: progress, or one sentence, one button and the files."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nicegui import ui

from app.access import Action, ReplRole
from app.pages.words import safety_words, stopping_words
from app.pages.workbench.recorded.last_screens import LastScreens
from app.pages.workbench.recorded.record import Record
from app.pages.workbench.shelf import Shelf
from components.controls import button, icon, link, set_shown, text
from orchestrator.domain import Goal, Phase, Repl
from runner.errors import DevexError


class Cover:
    """Lies over the workbench unless the REPL runs. `on_shelf` is called when it shows the files, `on_file` when one of
    them is chosen, `on_history` when the versions are asked for, `on_start` by its button and by what is typed;
    `new_last_screens` makes what is below the files. `role` is what the one who sees it is to the REPL.
    """

    def __init__(
        self,
        *,
        role: ReplRole,
        on_start: Callable[[], Any],
        on_history: Callable[[], Any],
        on_shelf: Callable[[], None],
        on_file: Callable[[], None],
        new_last_screens: Callable[[Sequence[Record]], LastScreens],
    ) -> None:
        self.shelf: Shelf | None = None
        self._starts = role.may(Action.START)
        self._restores = role.may(Action.DELETE)
        self._on_start = on_start
        self._on_history = on_history
        self._on_shelf = on_shelf
        self._on_file = on_file
        self._new_last_screens = new_last_screens
        self._shown: object = None
        self._is_typed = False
        self._root = ui.element("div").classes("dx-cover dx-hidden")
        with self._root:
            self._about = ui.element("div").classes("dx-cover-about")
            self._files = ui.element("div").classes("dx-cover-files")

    def set_repl(self, repl: Repl, error: DevexError | None = None, records: Sequence[Record] = ()) -> None:
        """Show what `repl` needs shown; `error` is why it could not be opened, `records` what is kept of terminals."""
        why = (repl.failure, repl.unsafe, repl.unsaved, repl.lacks, repl.saved_version, repl.stop_reason, error)
        what = (repl.phase, repl.goal, repl.name, repl.in_trash, *why)
        if what == self._shown:
            return
        self._shown = what
        runs = repl.phase is Phase.RUNNING and error is None
        moves = error is None and (repl.phase in (Phase.STARTING, Phase.STOPPING) or _about_to_start(repl))
        if runs or repl.in_trash:
            self._take_away()
        is_shelved = not runs and not repl.in_trash and (not moves or self._is_typed)
        set_shown(self._root, not runs)
        set_shown(self._files, is_shelved)
        self._about.clear()
        with self._about:
            if repl.in_trash:
                with _card():
                    text(f"{repl.name} is in the trash", "dx-title", tag="h1")
                    link("Go to your REPLs" + (" to restore it" if self._restores else ""), "/", "dx-btn")
            elif moves and not is_shelved:
                with _card():
                    ui.element("span").classes("dx-spin").style("width: 28px; height: 28px")
                    verb = "Stopping" if repl.phase is Phase.STOPPING else "Starting"
                    text(f"{verb} {repl.name}", "dx-title", tag="h1")
                    if repl.phase is Phase.STOPPING:
                        text(stopping_words(repl), "dx-muted", tag="p")
                    elif repl.failure:  # why it takes its time
                        text(repl.failure, "dx-muted", tag="p")
            elif is_shelved:
                self._stopped(repl, error, moves=moves)
        if is_shelved and self.shelf is None:
            with self._files:
                last_screens = partial(self._new_last_screens, records) if records else None
                self.shelf = Shelf(
                    repl.id,
                    on_file=self._on_file,
                    on_typed=self._typed if self._starts else None,
                    new_last_screens=last_screens,
                )
            self._on_shelf()

    def _take_away(self) -> None:
        """A file that is being read or typed into stays open until it runs."""
        self.shelf = None
        self._is_typed = False
        self._files.clear()

    def _typed(self) -> Any:
        self._is_typed = True
        return self._on_start()

    def _stopped(self, repl: Repl, error: DevexError | None, *, moves: bool) -> None:
        has_failed = repl.phase is Phase.FAILED or error is not None
        why = repl.failure or (error.message if error else None) or repl.stop_reason or ""
        safety = safety_words(repl, datetime.now(UTC))
        with ui.element("div").classes("dx-asleep").props("role=status"):
            icon("warning" if has_failed else "moon").classes(f"dx-tone-{'danger' if has_failed else 'muted'}")
            with ui.element("div").classes("dx-grow"):
                state = "is starting" if moves else "could not run" if has_failed else "is stopped"
                text(f"{repl.name} {state}", "dx-subtitle", tag="h2")
                if not moves:
                    others = "" if self._starts else "Its owner or an editor can start it."
                    said = (why, safety, repl.lacks or "", others)
                    text(" ".join(one for one in said if one), "dx-muted", tag="p")
            with ui.element("div").classes("dx-row"):
                if not moves and self._starts:
                    button("Recover" if has_failed else "Start", self._on_start, icon_name="play", kind="primary")
                button("History", self._on_history, icon_name="history")
                link("Download files", f"/repls/{repl.id}/zip", "dx-btn")


def _card() -> ui.element:
    return ui.element("div").classes("dx-cover-card").props("role=status")


def _about_to_start(repl: Repl) -> bool:
    return repl.phase is Phase.STOPPED and repl.goal is Goal.RUN
