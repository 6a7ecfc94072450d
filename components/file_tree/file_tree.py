"""The workspace's files as a tree that stays smooth with 50,000 entries."""

from collections.abc import Callable

from nicegui.element import Element

from components import BUNDLE


class FileTree(Element, component="devex_file_tree.js", esm=BUNDLE):
    """Talks to the REPL's file routes from the browser and hears its tree events through the `ReplEvents` of the page.

    `on_open(path)`: a file was chosen. `on_failed(sentence, action)`: something could not be done. `on_moved(from, to)`
    and `on_removed(path)`: a file or directory was renamed, moved or deleted here. A file's menu opens the `History` of
    the page.
    """

    def __init__(
        self,
        repl_id: str,
        *,
        readonly: bool = False,
        on_open: Callable[[str], None],
        on_failed: Callable[[str, str], None],
        on_moved: Callable[[str, str], None] | None = None,
        on_removed: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self._props.update(replId=repl_id, readonly=readonly)
        self.on("open", lambda e: on_open(e.args["path"]))
        self.on("failed", lambda e: on_failed(e.args["message"], e.args["action"]))
        if on_moved:
            self.on("moved", lambda e: on_moved(e.args["from"], e.args["to"]))
        if on_removed:
            self.on("removed", lambda e: on_removed(e.args["path"]))

    def focus(self) -> None:
        """Give the tree the keyboard."""
        self.run_method("focusTree")

    def reveal(self, path: str) -> None:
        """Open the folders above a path and select it."""
        self.run_method("reveal", path)
