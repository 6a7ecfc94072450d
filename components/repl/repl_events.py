"""The page's ear on its REPL."""

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class ReplEvents(Element, component="devex_repl_events.js", esm=BUNDLE):
    """Follows `/repls/{id}/events` in the browser, where the file tree hears it too, and reconnects for ever.

    `on_told` gets the messages hello, ports, run, terminals and quota. While the socket is open the page's body
    has the attribute `data-online`.
    """

    def __init__(self, repl_id: str, *, on_told: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._props["replId"] = repl_id
        self.on("told", lambda e: on_told(e.args))
