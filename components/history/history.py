"""The versions of a REPL: what changed when, side by side, and the way back."""

from collections.abc import Callable

from nicegui.element import Element

from components import BUNDLE


class History(Element, component="devex_history.js", esm=BUNDLE):
    """Lies over its neighbours while it is open; asks `/repls/{id}/snapshots` from the browser, whether the REPL runs
    or not, and hears of new versions through the `ReplEvents` of the page.

    The command "history" given in the page opens it, and "save-version" saves one, open or not; a `FileTree` of the
    page opens it for one file. `on_told(sentence)` and `on_failed(sentence, action)`: what came of a save while it is
    closed.
    """

    def __init__(self, repl_id: str, *, on_told: Callable[[str], None], on_failed: Callable[[str, str], None]) -> None:
        super().__init__()
        self._props.update(replId=repl_id, writable=False, whyNot="")
        self.on("told", lambda e: on_told(e.args))
        self.on("failed", lambda e: on_failed(e.args["message"], e.args["action"]))

    def set_writable(self, *, writable: bool, why_not: str = "") -> None:
        """Offer what changes something, or say why it is not offered."""
        if (self._props["writable"], self._props["whyNot"]) != (writable, why_not):
            self._props.update(writable=writable, whyNot=why_not)
            self.update()

    def open(self) -> None:
        """Show the versions."""
        self.run_method("open", "")

    def close(self) -> None:
        """Make way for what is behind."""
        self.run_method("close", False)
