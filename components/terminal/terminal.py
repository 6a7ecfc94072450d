"""One terminal of a REPL on the screen; also the output pane, which is the terminal of a run."""

from collections.abc import Callable
from typing import Any, Final

from nicegui.element import Element

from components import BUNDLE

WINDOW_TITLE_CHARACTERS: Final = 200  # as in window_title.mjs, and checked here: a browser may say what it likes


class Terminal(Element, component="devex_terminal.js", esm=BUNDLE):
    """Attaches from the browser to `/repls/{repl_id}/terminals/{terminal_id}`; bytes never pass through NiceGUI.

    `on_title(text)`: the program named its window. `on_open(path, line, column)`: a place in a file was chosen;
    the column may be None. `before`: the last screen of this record, of a terminal of so many columns and rows, is
    shown above; it ended with its sandbox, and this one follows it.
    """

    def __init__(
        self,
        repl_id: str,
        terminal_id: str,
        *,
        on_title: Callable[[str], Any] | None = None,
        on_open: Callable[[str, int, int | None], Any] | None = None,
        before: tuple[str, tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(replId=repl_id, terminalId=terminal_id, before=before)
        if on_title:
            self.on("title", lambda e: on_title(str(e.args)[:WINDOW_TITLE_CHARACTERS]))
        if on_open:
            self.on("open", lambda e: on_open(e.args["path"], e.args["line"], e.args["column"]))
