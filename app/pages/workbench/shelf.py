"""The files of a REPL that does not run: to look at, to copy from, to download; what is typed into one starts it."""

from collections.abc import Callable
from typing import Any

from nicegui import ui

from app.pages.workbench.recorded.last_screens import LastScreens
from components.controls import failed
from components.file_tree import FileTree
from components.reader import Reader
from components.split import Split


class Shelf:
    """A tree on the left, the chosen file on the right; `on_file` is called when a file is chosen, `on_typed` when
    somebody begins to type into it (None: nobody can). `new_last_screens` makes what is below (None: there is nothing).
    """

    def __init__(
        self,
        repl_id: str,
        *,
        on_file: Callable[[], None],
        on_typed: Callable[[], Any] | None,
        new_last_screens: Callable[[], LastScreens] | None,
    ) -> None:
        self._on_file = on_file
        self._last_screens: LastScreens | None = None
        with ui.element("div").classes("dx-shelf"):
            files = Split("files", label="Width of the files", size_px=232)
            with files.fixed, ui.element("section").classes("dx-pane dx-pane-files").props('aria-label="Files"'):
                FileTree(repl_id, readonly=True, on_open=self.open_file, on_failed=failed)
            rest = files.rest
            if new_last_screens:
                with files.rest:
                    below = Split(
                        "ended",
                        label="Height of what was here last",
                        axis="y",
                        fixed_first=False,
                        size_px=270,
                        min_px=90,
                    )
                with below.fixed:
                    self._last_screens = new_last_screens()
                rest = below.rest
            with rest, ui.element("section").classes("dx-pane dx-pane-editor").props('aria-label="File"'):
                self._reader = Reader(repl_id, on_typed=on_typed)

    def show(self, view: str) -> None:
        """Of what is below, "output", "terminal" or "runs" comes to the front."""
        if self._last_screens is not None:
            self._last_screens.show(view)

    def open_file(self, path: str, line: int | None = None) -> None:
        """Show a file."""
        self._reader.open_file(path, line)
        self._on_file()
