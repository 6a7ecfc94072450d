"""Tabs that change in the browser, at once; what they show stays mounted behind the one in front."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from nicegui.element import Element
from nicegui.slot import Slot

from components import BUNDLE


@dataclass(slots=True, kw_only=True)
class Tab:
    """One tab. The user can close one that is `closable`."""

    key: str
    title: str
    icon: str
    closable: bool = False


class Tabs(Element, component="devex_tabs.js", esm=BUNDLE):
    """Each tab's content goes into the slot that `add` returns. Choosing a tab gives the keyboard to what it shows.

    When the command `command` is given in the page, the closable tab used last comes to the front. A double click on a
    closable tab, or F2, gives `rename_command`. With a `split_label` a new tab can be opened beside the one in front,
    by a button of this label or by the first of `split_commands`; the second one shows what is side by side alone
    again, and a press on a tab with Ctrl shows it beside. `on_add` and `on_close(key)`: the user asks for a new tab, or
    for the end of one; it goes when `remove_tab` is called. With `readonly` the user opens, closes and renames none.
    """

    def __init__(
        self,
        *,
        label: str,
        add_label: str,
        command: str = "",
        rename_command: str = "",
        split_label: str = "",
        split_commands: tuple[str, str] = ("", ""),
        readonly: bool = False,
        on_add: Callable[[], Any],
        on_close: Callable[[str], Any],
    ) -> None:
        super().__init__()
        self._tabs: dict[str, Tab] = {}
        self._props.update(
            label=label,
            addLabel=add_label,
            command=command,
            renameCommand=rename_command,
            splitLabel=split_label,
            splitCommands=split_commands,
            readonly=readonly,
            tabs=[],
        )
        self.on("add", lambda _: on_add())
        self.on("close", lambda e: on_close(e.args))

    @property
    def keys(self) -> list[str]:
        """The tabs' keys, from left to right."""
        return list(self._tabs)

    def add(self, tab: Tab) -> Slot:
        """A tab on the right; a closable one comes to the front."""
        slot = self.add_slot(tab.key)
        self._tabs[tab.key] = tab
        self._tell()
        return slot

    def remove_tab(self, key: str) -> None:
        """Take a tab away with what it shows."""
        del self._tabs[key]
        slot = self.slots[key]
        for child in list(slot.children):
            self.remove(child)
        del self.slots[key]
        self._tell()

    def set_title(self, key: str, title: str) -> None:
        """Name a tab anew; one that is gone is left alone."""
        if key in self._tabs and self._tabs[key].title != title:
            self._tabs[key].title = title
            self._tell()

    def show(self, key: str) -> None:
        """Bring a tab to the front."""
        self.run_method("choose", key, False)

    def show_last(self, *, focus: bool = False) -> None:
        """Bring the closable tab used last to the front."""
        self.run_method("chooseLast", focus)

    def _tell(self) -> None:
        self._props["tabs"] = [asdict(tab) for tab in self._tabs.values()]
        self.update()
