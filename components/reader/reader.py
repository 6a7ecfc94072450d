"""A file to read, whether its REPL runs or not."""

from nicegui.element import Element

from components import BUNDLE


class Reader(Element, component="devex_reader.js", esm=BUNDLE):
    """Shows one file as it is on disk, for reading and copying; `base` is where the REPL's routes are."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._props["base"] = base

    def open_file(self, path: str) -> None:
        """Show another file."""
        self.run_method("openFile", path)
