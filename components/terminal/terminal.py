"""One terminal of a REPL on the screen; also the output pane, which is the terminal of a run."""

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class Terminal(Element, component="devex_terminal.js", esm=BUNDLE):
    """Attaches from the browser to `/repls/{repl_id}/terminals/{terminal_id}`; bytes never pass through NiceGUI.

    `on_title(text)`: the program named its window.
    """

    def __init__(
        self,
        repl_id: str,
        terminal_id: str,
        *,
        on_title: Callable[[str], Any] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(replId=repl_id, terminalId=terminal_id)
        if on_title:
            self.on("title", lambda e: on_title(str(e.args)[:200]))
