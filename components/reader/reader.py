"""A file to read, whether its REPL runs or not."""

from collections.abc import Callable
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class Reader(Element, component="devex_reader.js", esm=BUNDLE):
    """Shows one file as it is on disk, for reading and copying.

    What is typed into it is kept in the page, goes on in the `Editor` of the same REPL when this one is taken away, and
    is saved there; `on_typed` is called for the first of it in each file.
    """

    def __init__(self, repl_id: str, *, on_typed: Callable[[], Any] | None) -> None:
        """Without `on_typed` nothing can be typed."""
        super().__init__()
        self._props.update(replId=repl_id, readonly=on_typed is None)
        if on_typed:
            self.on("typed", lambda _: on_typed())

    def open_file(self, path: str, line: int | None = None) -> None:
        """Show another file; `line` counts from 1."""
        self.run_method("openFile", path, line)
