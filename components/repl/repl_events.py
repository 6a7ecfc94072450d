"""The page's ear on its REPL."""

from collections.abc import Awaitable, Callable

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from components import BUNDLE
from components.repl.told import Told, told_of


class ReplEvents(Element, component="devex_repl_events.js", esm=BUNDLE):
    """Follows `/repls/{id}/events` in the browser, where the file tree hears it too, and reconnects for ever.

    While the socket is open the page's body has the attribute `data-online`.
    """

    def __init__(self, repl_id: str, *, on_told: Callable[[Told], Awaitable[None] | None]) -> None:
        super().__init__()
        self._props["replId"] = repl_id
        self._on_told = on_told
        self.on("told", self._told)

    def _told(self, event: GenericEventArguments) -> Awaitable[None] | None:
        told = told_of(event.args)
        return self._on_told(told) if told else None
