"""The page's link to its REPL, held by the browser: what happens there arrives as events, requests go out from here."""

from collections.abc import Callable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from components import BUNDLE


class ReplLink(Element, component="devex_repl.js", esm=BUNDLE):
    """Follows `/repls/{id}/events`; the file tree and others in the page hear the same events in the browser."""

    def __init__(
        self,
        repl_id: str,
        *,
        on_told: Callable[[dict[str, Any]], None],
        on_online: Callable[[bool], None],
        on_started: Callable[[dict[str, Any]], None],
        on_opened: Callable[[dict[str, Any]], None],
        on_failed: Callable[[str, str], None],
    ) -> None:
        """`on_told` gets the event messages and, at the start, {"type": "state", "terminals": [...], "run": {...}};
        `on_started` and `on_opened` the answers to `run` and `open_terminal`; `on_failed` a sentence and an action."""
        super().__init__()
        self._props["replId"] = repl_id
        self.on("told", lambda e: on_told(e.args))
        self.on("online", lambda e: on_online(bool(e.args)))
        self.on("started", lambda e: on_started(e.args))
        self.on("opened", lambda e: on_opened(e.args))

        def failed(e: GenericEventArguments) -> None:
            on_failed(e.args["message"], e.args["action"])

        self.on("failed", failed)

    def refresh(self) -> None:
        """Ask again for terminals and run; the answer arrives as a "state" message."""
        self.run_method("refresh")

    def run(self) -> None:
        """Start the run command, or start it again."""
        self.run_method("run")

    def halt(self) -> None:
        """Stop the run command."""
        self.run_method("halt")

    def open_terminal(self, cols: int = 80, rows: int = 24) -> None:
        """Open a shell."""
        self.run_method("openTerminal", cols, rows)

    def close_terminal(self, terminal_id: str) -> None:
        """End a shell and forget its output."""
        self.run_method("closeTerminal", terminal_id)
