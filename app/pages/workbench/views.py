"""The bar at the bottom of a narrow screen: one part of the workbench at a time."""

from collections.abc import Callable, Collection

from nicegui import ui
from nicegui.element import Element

from components.controls import icon, text

# At once, and while the connection is lost too; the page in Python hears of it afterwards.
SHOW = """(event) => {
    const tab = event.currentTarget;
    tab.closest(".dx-wb").dataset.view = tab.dataset.view;
    for (const one of tab.parentElement.children) one.ariaSelected = String(one === tab);
    emit();
}"""

VIEWS = {"files": "folder", "editor": "code", "terminal": "terminal", "output": "output", "preview": "globe"}


class Views:
    """Marks `root` with the view in front; theme.css shows it alone when the screen is narrow. `left_out` are views
    there are none of.
    """

    def __init__(self, root: Element, *, left_out: Collection[str], on_view: Callable[[str], None]) -> None:
        self._root = root
        self._on_view = on_view
        self._tabs: dict[str, Element] = {}
        with ui.element("nav").classes("dx-views").props('role=tablist aria-label="Views"'):
            for view, icon_name in VIEWS.items():
                if view in left_out:
                    continue
                self._tabs[view] = self._tab(view, icon_name)
        self._mark("editor")

    def show(self, view: str) -> None:
        """Bring a view to the front."""
        self._mark(view)
        self._on_view(view)

    def _mark(self, view: str) -> None:
        self._root.props(f"data-view={view}")
        for name, tab in self._tabs.items():
            tab.props(f"aria-selected={str(name == view).lower()}")

    def _tab(self, view: str, icon_name: str) -> Element:
        with ui.element("button").props(f"type=button role=tab data-view={view}") as tab:
            icon(icon_name)
            text(view.capitalize())
        return tab.on("click", lambda: self.show(view), js_handler=SHOW)
