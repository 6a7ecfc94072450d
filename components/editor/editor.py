"""Text files in tabs, edited together and saved by themselves."""

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class Editor(Element, component="devex_editor.js", esm=BUNDLE):
    """Edits over the WebSocket `/repls/{repl_id}/documents` in the browser; Python opens files and hears what it must.

    `first_file` is opened where this browser remembers no tabs.
    `saved_in` and `cursor_in` are the ids of elements of the page that show whether the file in front is saved, and
    where its caret is: both change while somebody types, and nobody else needs to know. The command `save_command`
    given in the page saves the file in front at once. `on_active(path)`: another tab came to the front.
    """

    def __init__(
        self,
        repl_id: str,
        *,
        first_file: str | None = None,
        saved_in: str = "",
        cursor_in: str = "",
        save_command: str = "",
        on_active: Callable[[str], Any] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(
            replId=repl_id, firstFile=first_file or "", savedIn=saved_in, cursorIn=cursor_in, saveCommand=save_command
        )
        if on_active:
            self.on("active", lambda e: on_active(e.args["path"]))

    def open_file(self, path: str, line: int | None = None, column: int | None = None) -> None:
        """Bring a file to the front, opening it if need be; `line` and `column` count from 1."""
        self.run_method("openFile", path, line, column)

    def close_file(self, path: str) -> None:
        """Close what is open of a file or folder that was deleted."""
        self.run_method("closeFile", path)

    def move_file(self, source: str, target: str) -> None:
        """Follow a file or folder that was renamed."""
        self.run_method("moveFile", source, target)

    def focus(self) -> None:
        """Put the caret into the text."""
        self.run_method("focusEditor")
