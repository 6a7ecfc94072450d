"""The workspace's files as a tree that stays smooth with 50,000 entries."""

from collections.abc import Callable
from typing import Self

from nicegui.element import Element

from components import BUNDLE


class FileTree(Element, component="devex_file_tree.js", esm=BUNDLE):
    """Talks to the REPL's file routes from the browser and hears its tree events through a `ReplLink` in the same page.

    Events: `on_open(path)`, `on_moved(from, to)`, `on_removed(path)`, `on_failed(sentence, action)`.
    """

    def __init__(self, repl_id: str, *, readonly: bool = False) -> None:
        super().__init__()
        self._props.update(replId=repl_id, readonly=readonly)

    def on_open(self, callback: Callable[[str], None]) -> Self:
        """A file was chosen."""
        return self.on("open", lambda e: callback(e.args["path"]))

    def on_moved(self, callback: Callable[[str, str], None]) -> Self:
        """A file or directory was renamed or moved here."""
        return self.on("moved", lambda e: callback(e.args["from"], e.args["to"]))

    def on_removed(self, callback: Callable[[str], None]) -> Self:
        """A file or directory was deleted here."""
        return self.on("removed", lambda e: callback(e.args["path"]))

    def on_failed(self, callback: Callable[[str, str], None]) -> Self:
        """Something could not be done."""
        return self.on("failed", lambda e: callback(e.args["message"], e.args["action"]))

    def focus(self) -> None:
        """Give the tree the keyboard."""
        self.run_method("focusTree")

    def reveal(self, path: str) -> None:
        """Open the folders above a path and select it."""
        self.run_method("reveal", path)
