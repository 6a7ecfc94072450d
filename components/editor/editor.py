"""Text files in tabs, edited together and saved by themselves."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class Editor(Element, component="devex_editor.js", esm=BUNDLE):
    """Edits over the WebSocket `/repls/{repl_id}/documents` in the browser; Python opens files and hears what concerns the page.

    `first_file` is opened where this browser remembers no tabs.
    `saved_in` and `cursor_in` are the ids of elements of the page that show whether the file in front is saved, and
    where its caret is: both change while somebody types, and nobody else needs to know.
    `on_active(path)`: another tab came to the front. `on_command(name)`: a key of the page was pressed: "run"
    (Ctrl Enter), "find" (Ctrl P), "commands" (Ctrl Shift P), "terminal" (Ctrl `) or "files" (Ctrl B).
    """

    def __init__(
        self,
        repl_id: str,
        *,
        first_file: str | None = None,
        saved_in: str = "",
        cursor_in: str = "",
        on_active: Callable[[str], Any] | None = None,
        on_command: Callable[[str], Awaitable[None] | None] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(replId=repl_id, firstFile=first_file or "", savedIn=saved_in, cursorIn=cursor_in)
        if on_active:
            self.on("active", lambda e: on_active(e.args["path"]))
        if on_command:
            self.on("command", lambda e: on_command(e.args["name"]))

    def open_file(self, path: str, line: int | None = None) -> None:
        """Bring a file to the front, opening it if need be; `line` counts from 1."""
        self.run_method("openFile", path, line)

    def close_file(self, path: str) -> None:
        """Close what is open of a file or folder that was deleted."""
        self.run_method("closeFile", path)

    def move_file(self, source: str, target: str) -> None:
        """Follow a file or folder that was renamed."""
        self.run_method("moveFile", source, target)

    def focus(self) -> None:
        """Put the caret into the text."""
        self.run_method("focusEditor")

    def set_theme(self, dark: bool) -> None:
        """Follows NiceGUI's dark mode by itself; this is for pages without it."""
        self.run_method("setTheme", dark)

    def run_action(self, name: str) -> None:
        """ "save" the file in front at once, or "close" it."""
        self.run_method("runAction", name)
