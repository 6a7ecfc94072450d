"""A file to read, whether its REPL runs or not."""

from nicegui.element import Element

from components import BUNDLE


class Reader(Element, component="devex_reader.js", esm=BUNDLE):
    """Shows one file as it is on disk, for reading and copying."""

    def __init__(self, repl_id: str) -> None:
        super().__init__()
        self._props["replId"] = repl_id

    def open_file(self, path: str) -> None:
        """Show another file."""
        self.run_method("openFile", path)
