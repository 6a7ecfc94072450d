"""The command palette with go to file and find in files; it also owns the page's keyboard shortcuts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nicegui.element import Element

from components import BUNDLE

Mode = Literal["find", "commands", "search"]


@dataclass(frozen=True, slots=True)
class Command:
    """Something the user can do. `keys` like "Mod+Shift+P" (Mod: Ctrl, Cmd on a Mac) work everywhere in the page,
    but for Ctrl and a letter in a full-screen program; `own_keys`, those of an element, work in that element only."""

    id: str
    title: str
    keys: str = ""
    own_keys: str = ""


OWN_COMMANDS = (  # their ids are modes
    Command("find", "Go to file", "Mod+P"),
    Command("commands", "Show all commands", "Mod+Shift+P"),
    Command("search", "Find in files", "Mod+Shift+F"),
)


class Palette(Element, component="devex_palette.js", esm=BUNDLE):
    """Shows nothing until opened; asks the REPL's `find` and `search` routes from the browser.

    A command is given to the elements of the page first (the event COMMAND of commands.mjs): one that carries it out
    does so in the browser, at once. Python hears of what none has done.
    """

    def __init__(
        self,
        repl_id: str,
        commands: Sequence[Command],
        *,
        on_command: Callable[[str], Any],
        on_open: Callable[[str, int | None], None],
    ) -> None:
        """`on_command` gets a command's id, `on_open` a path and a line."""
        super().__init__()
        self._props.update(
            replId=repl_id, commands=[asdict(command) for command in (*commands, *OWN_COMMANDS)], leftOut=[]
        )
        self.on("command", lambda e: on_command(e.args))
        self.on("open", lambda e: on_open(e.args["path"], e.args["line"]))

    def leave_out(self, ids: Collection[str]) -> None:
        """List all commands but these; their keys go on working."""
        self._props["leftOut"] = sorted(ids)

    def open(self, mode: Mode) -> None:
        """Open the box."""
        self.run_method("open", mode)
