"""The parts of the workbench that need a running REPL, and how they are laid out."""

from collections.abc import Callable, Sequence
from typing import Any, assert_never

from nicegui import ui

from app.pages.workbench.commands import Do
from app.pages.workbench.panel import Panel
from app.pages.workbench.recorded.run_history import RunHistory
from app.pages.workbench.status import CURSOR, SAVED
from components.controls import failed
from components.editor import Editor
from components.file_tree import FileTree
from components.preview import Preview
from components.repl import Hello, Paused, Port, Ports, Quota, ReplEvents, Run, Shell, Shells, Told
from components.split import Split


class Previewed:
    """The preview on the right; `rest` is what is left of it."""

    def __init__(self, repl_id: str) -> None:
        side = Split(
            f"preview-{repl_id}",
            label="Width of the preview",
            fixed_first=False,
            size_px=440,
            min_px=240,
            collapsed=True,
            command="preview",
        )
        with side.fixed, _pane("preview", "Preview"):
            self._preview = Preview(repl_id, on_close=side.toggle)
        self._show = side.show
        self.rest = side.rest
        self.toggle = side.toggle
        self.reload = self._preview.reload

    def set_ports(self, ports: Sequence[Port], *, brings_up: bool) -> None:
        """The first with a page opens it; a page that is loaded later leaves it as the user left it."""
        had_page = self._preview.has_page
        self._preview.set_ports(ports)
        if brings_up and self._preview.has_page and not had_page:
            self._show()


class Desk:
    """Files on the left, the editor over the panel. For those who may write the preview is on the right, once a program
    listens on a port.
    """

    def __init__(
        self,
        repl_id: str,
        *,
        first_file: str | None,
        can_write: bool,
        do: Do,
        on_close_terminal: Callable[[str], Any],
        new_run_history: Callable[[Callable[[], None]], RunHistory],
        on_run: Callable[[Run], None],
        on_file: Callable[[], None],
        on_paused: Callable[[Paused | None], None],
    ) -> None:
        self._on_run = on_run
        self._on_file = on_file
        self._on_paused = on_paused
        self._shells: Sequence[Shell] = ()
        ReplEvents(repl_id, on_told=self._told)
        self.files = Split("files", label="Width of the files", size_px=232, command="files")
        with self.files.fixed, _pane("files", "Files"):
            self.tree = FileTree(
                repl_id,
                readonly=not can_write,
                on_open=self.open_file,
                on_failed=failed,
                on_moved=self._moved,
                on_removed=self._removed,
            )
        with self.files.rest:
            self.previewed = Previewed(repl_id) if can_write else None
        with self.previewed.rest if self.previewed else self.files.rest:
            self.below = Split(
                "panel",
                label="Height of the panel",
                axis="y",
                fixed_first=False,
                size_px=270,
                min_px=90,
                command="panel",
            )
        with self.below.rest, _pane("editor", "Editor"):
            self.editor = Editor(
                repl_id,
                first_file=first_file,
                saved_in=SAVED,
                cursor_in=CURSOR,
                save_command="save",
                on_active=self.tree.reveal,
            )
        with self.below.fixed:
            self.panel = Panel(
                repl_id,
                can_write=can_write,
                on_new=lambda: do("new-terminal"),
                on_close=on_close_terminal,
                on_open=self.open_file,
                on_runs=lambda: do("runs"),
                new_run_history=new_run_history,
            )

    def open_file(self, path: str, line: int | None = None, column: int | None = None) -> None:
        """Open a file in the editor and bring it to the front."""
        self.editor.open_file(path, line, column)
        self._on_file()

    def _moved(self, source: str, target: str) -> None:
        self.editor.move_file(source, target)

    def _removed(self, path: str) -> None:
        self.editor.close_file(path)

    def set_run(self, run: Run) -> None:
        """Show a run in the output and at the Run button."""
        self.panel.set_run(run)
        self._on_run(run)

    async def _set_shells(self, shells: Sequence[Shell]) -> None:
        """What a new one may go on from is in the records; while they are asked for, other shells may be told."""
        self._shells = shells
        if self.panel.lacks(shells):
            await self._refresh_records()
            self.panel.set_shells(self._shells)
        else:
            self.panel.set_shells(shells)
            await self._refresh_records()

    async def _refresh_records(self) -> None:
        await self.panel.run_history.refresh()
        self.panel.set_records(self.panel.run_history.records, self._shells)

    async def _told(self, told: Told) -> None:
        match told:
            case Hello(run, ports, shells, paused):
                self._on_paused(paused)
                self.set_run(run)
                if self.previewed:
                    self.previewed.set_ports(ports, brings_up=False)
                await self._set_shells(shells)
            case Run():
                self.set_run(told)
                await self._refresh_records()
            case Ports(ports):
                if self.previewed:
                    self.previewed.set_ports(ports, brings_up=True)
            case Shells(shells):
                await self._set_shells(shells)
            case Quota(paused):
                self._on_paused(paused)
            case _:
                assert_never(told)


def _pane(name: str, label: str) -> ui.element:
    pane = ui.element("section").classes(f"dx-pane dx-pane-{name}")
    pane._props["aria-label"] = label
    return pane
