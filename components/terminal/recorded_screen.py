"""What a terminal wrote, shown after its end."""

from nicegui.element import Element

from components import BUNDLE


class RecordedScreen(Element, component="devex_recorded_screen.js", esm=BUNDLE):
    """A screen that looks like the terminal's and that nobody can type into.

    It asks `/repls/{repl_id}/records/{record_id}/output` from the browser, whether the REPL runs or not. `size` is the
    terminal's in columns and rows; `find` is looked for from the end on, and marked.
    """

    def __init__(self, repl_id: str, record_id: str, *, size: tuple[int, int], find: str = "") -> None:
        super().__init__()
        self._props.update(replId=repl_id, recordId=record_id, cols=size[0], rows=size[1], find=find)
