"""Two resizable panes: one keeps its size in pixels, the other takes the rest."""

from typing import Literal

from nicegui.element import Element
from nicegui.slot import Slot

from components import BUNDLE


class Split(Element, component="devex_split.js", esm=BUNDLE):
    """`fixed` (x: left or right, y: bottom) and `rest` are slots. Size and collapse stay in the browser under `name`.

    The gutter is a focusable separator: arrows move it, Home and End go to the limits, Enter collapses. `command` given
    in the page collapses the fixed pane or brings it back; so does what is in it, when it comes to the front.
    """

    def __init__(
        self,
        name: str,
        *,
        label: str,
        axis: Literal["x", "y"] = "x",
        fixed_first: bool = True,
        size_px: int = 240,
        min_px: int = 140,
        collapsed: bool = False,
        command: str = "",
    ) -> None:
        super().__init__()
        self._props.update(
            name=name,
            label=label,
            axis=axis,
            fixedFirst=fixed_first,
            size=size_px,
            min=min_px,
            startCollapsed=collapsed,
            command=command,
        )
        self.fixed: Slot = self.add_slot("fixed")
        self.rest: Slot = self.add_slot("rest")

    def toggle(self) -> None:
        """Collapse the fixed pane or bring it back."""
        self.run_method("toggle")

    def show(self) -> None:
        """Bring the fixed pane back if it is collapsed."""
        self.run_method("show")
