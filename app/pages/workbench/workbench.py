"""The page of one REPL: files, editor, terminals, output and preview. A reload finds everything again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

from nicegui import ui
from starlette.responses import RedirectResponse

from app.access import Access, Action, Standing, allowed, recheck
from app.gateway.runner_client import RunnerClient
from app.gateway.runners import running_app, viewer_of
from app.pages.frame import PAGE_DEADLINE_S, ask_sure, attempt, dress, keep_theme, while_shown
from app.pages.words import restart_words
from app.pages.workbench.awake import Awake
from app.pages.workbench.commands import COMMANDS, WHILE_STOPPED, left_out
from app.pages.workbench.cover import Cover
from app.pages.workbench.desk import Desk
from app.pages.workbench.header import Header
from app.pages.workbench.recorded.recorded import Recorded
from app.pages.workbench.share import Share
from app.pages.workbench.status import status_line
from app.pages.workbench.views import Views
from app.services import Services
from components.controls import failed, set_shown, text, told, warned
from components.history import History, Restoring
from components.palette import Palette
from components.preload import preload
from components.repl import Network, Paused, Run, shells_of
from orchestrator.domain import EXTEND_HOURS, Goal, Phase, Repl
from runner.errors import DevexError
from runner.live import Hold

QUICK_S = 1.0  # a start that takes longer is shown in progress; most are done before the page is on its way
LEASE_SHOWN_EVERY_S = 10.0
FIRST_SHELL_S = (
    2.0  # that a page waits for another one to open the first; an agent may not answer, and events tell later
)
_FIRST_SHELLS: dict[str, asyncio.Event] = {}  # by REPL, while a page opens it
ELEMENTS = ("terminal.js", "editor.js", "repl.js", "file_tree.js", "history.js", "palette.js", "tabs.js")


def register(services: Services) -> None:
    """Add /repl/{id}."""

    @ui.page("/repl/{repl_id}", response_timeout=PAGE_DEADLINE_S)
    async def workbench_page(
        access: Annotated[Access, allowed(Action.OPEN)], start: bool = True
    ) -> RedirectResponse | None:
        bench = Workbench(services, access)
        await bench.open(QUICK_S if start and access.the_role.may(Action.START) else None)
        while_shown(ui.context.client, bench.follow(), name=f"workbench {access.the_repl.id}")
        while_shown(ui.context.client, bench.count_down(), name=f"lease {access.the_repl.id}")
        if ui.context.client.is_deleted:  # the rights have changed meanwhile: what they are now is found anew
            return RedirectResponse(f"/repl/{access.the_repl.id}" + ("" if start else "?start=0"), 303)
        return None


class Workbench:
    """One page's view of one REPL. Opening the page starts the REPL, for who may; one that stops later is started by
    hand. When the rights change that it was opened with, it is loaded anew.
    """

    def __init__(self, services: Services, access: Access) -> None:
        repl = access.the_repl
        self._services = services
        self._orchestrator = services.orchestrator
        self._access = access
        self._left_out = left_out(access.the_role)
        self._repl = repl
        self._changes = self._orchestrator.subscribe(repl_id=repl.id)
        self._desk: Desk | None = None
        self._wants_output = False
        self._lacks: str | None = None
        self._seen_at = repl.opened_at
        self._dark = dress(repl.name)
        self._recorded = Recorded(
            self._orchestrator,
            access,
            attempt=self._attempt,
            on_start=lambda: self.do("start"),
            on_again=self._run_again,
        )
        preload(ELEMENTS)
        self._root = ui.element("div").classes("dx-wb")
        with self._root:
            self._header = Header(repl, role=access.the_role, do=self.do)
            with ui.element("div"):
                Network(access.actor.user_id)
                Restoring()
                self._paused = text("", "dx-line dx-hidden").props("role=alert data-tone=danger")
            with ui.element("div").classes("dx-wb-main"):
                self._content = ui.element("div").style("display: contents")
                self._cover = Cover(
                    role=access.the_role,
                    on_start=lambda: self.do("start"),
                    on_history=lambda: self.do("history"),
                    on_shelf=lambda: self._views.show("files"),
                    on_file=lambda: self._views.show("editor"),
                    new_last_screens=self._recorded.new_last_screens,
                )
                self._history = History(repl.id, on_told=told, on_failed=failed)
            with status_line():
                self._awake = Awake(self._orchestrator, repl, attempt=self._attempt if access.can_write else None)
            self._views = Views(
                self._root, left_out=() if access.the_role.may(Action.PREVIEW) else ("preview",), on_view=self._viewed
            )
            self._share = Share(services, access)
            self._palette = Palette(repl.id, COMMANDS, on_command=self.do, on_open=self.open_file)

    # Its life

    async def open(self, patience_s: float | None) -> None:
        """Start the REPL; return when it runs, or failed, or after `patience_s` at the latest. None starts nothing."""
        self._warn_of_lacks(self._repl)  # a start may forget them
        if patience_s is None:
            await self._show(self._repl, came_up=True)
            return
        try:
            self._repl = await self._orchestrator.start(self._repl.id)
            async with asyncio.timeout(patience_s):
                while self._repl.phase is not Phase.RUNNING and self._repl.goal is Goal.RUN:
                    self._repl = await anext(self._changes)
        except TimeoutError:
            pass  # it is shown in progress
        except DevexError as error:
            await self._cover_up(self._repl, error)
            return
        await self._show(self._repl, came_up=True)

    async def follow(self) -> None:
        """Keep the page as the REPL is, for as long as the page is there."""
        async for repl in self._changes:
            with self._root:
                await self._show(repl, came_up=self._repl.phase is not Phase.RUNNING)

    async def count_down(self) -> None:
        """Keep showing when it stops. A ui.timer would send the page before it is built: it waits for the browser."""
        while True:
            await asyncio.sleep(LEASE_SHOWN_EVERY_S)
            self._awake.show()
            if self._desk is not None:
                self._desk.panel.run_history.tick()

    async def _show(self, repl: Repl, *, came_up: bool) -> None:
        self._repl = repl
        self._header.set_repl(repl)
        self._warn_of_lacks(repl)
        runs = repl.phase is Phase.RUNNING
        if runs and came_up:
            try:
                await self._take_up()
            except DevexError as error:
                await self._cover_up(repl, error)
                return
        await self._cover_up(repl)
        self._awake.show()
        self._awake.warn()
        if restarted := restart_words(repl, self._seen_at):
            warned(restarted)
            self._seen_at = repl.phase_at

    async def _cover_up(self, repl: Repl, error: DevexError | None = None) -> None:
        """What needs a running REPL is out of reach while it does not run."""
        runs = repl.phase is Phase.RUNNING and error is None
        if not runs:
            self._show_paused(None)
        is_fresh = not runs and self._cover.shelf is None
        self._cover.set_repl(repl, error, await self._recorded.records() if is_fresh else ())
        why_not = "" if runs or not self._access.can_write else "To bring something back, start this REPL."
        self._history.set_writable(writable=runs and self._access.can_write, why_not=why_not)
        self._content.props(add="" if runs else "inert", remove="inert" if runs else "")
        out_of_reach = {"start"} if runs else {one.id for one in COMMANDS} - WHILE_STOPPED
        self._palette.leave_out(out_of_reach | self._left_out)
        self._root.props(add="" if runs else "data-asleep", remove="data-asleep" if runs else "")

    async def _take_up(self) -> None:
        """Show the desk with the terminals and the run as they are; open a shell when there is none."""
        terminals = await self._terminals()
        if self._access.can_write and not _has_shell(terminals):
            terminals = await self._with_a_shell()
        run = Run.of(await self._ask("GET", "run"))
        records = await self._recorded.records()
        if self._desk is None:
            with self._content:
                self._desk = self._new_desk()
        self._desk.set_run(run)
        self._desk.panel.set_records(records, shells_of(terminals))
        self._desk.panel.set_shells(shells_of(terminals))
        self._bring_output()

    async def _terminals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self._ask("GET", "terminals"))["terminals"]
        return found

    async def _with_a_shell(self) -> list[dict[str, Any]]:
        """The terminals, when one page of all that find no shell has opened one."""
        if opening := _FIRST_SHELLS.get(self._repl.id):
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SHELL_S):
                    await opening.wait()
            return await self._terminals()
        opening = _FIRST_SHELLS[self._repl.id] = asyncio.Event()
        try:
            async with self._hold():
                await recheck(self._services, self._access.actor, Action.WRITE, self._repl.id)  # a start may take long
                terminals = await self._terminals()  # also those that a page has just opened
                if not _has_shell(terminals):
                    terminals.append(await self._ask("POST", "terminals", {}))
                return terminals
        finally:
            del _FIRST_SHELLS[self._repl.id]
            opening.set()

    def _bring_output(self) -> None:
        """To the front, for who ran something again while the desk was not there."""
        if self._wants_output and self._desk is not None and self._repl.phase is Phase.RUNNING:
            self._wants_output = False
            self._show_output(self._desk)

    def _new_desk(self) -> Desk:
        template = self._orchestrator.templates.get(self._repl.template)
        return Desk(
            self._repl.id,
            first_file=template.open_file if template else None,
            can_write=self._access.can_write,
            do=self.do,
            on_close_terminal=self._close_terminal,
            new_run_history=self._recorded.new_run_history,
            on_run=lambda run: self._header.set_running(running=run.running),
            on_file=lambda: self._views.show("editor"),
            on_paused=self._show_paused,
        )

    def _show_paused(self, paused: Paused | None) -> None:
        self._paused.set_text(f"{paused.message} {paused.action}" if paused else "")
        set_shown(self._paused, bool(paused))

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        app = await running_app(self._orchestrator, self._repl)
        return await RunnerClient(app, viewer_of(self._access)).ask(method, path, body)

    def _warn_of_lacks(self, repl: Repl) -> None:
        if repl.lacks and repl.lacks != self._lacks:
            warned(repl.lacks)
            self._lacks = repl.lacks

    # What the user does

    def _viewed(self, view: str) -> None:
        self._history.close()
        if self._cover.shelf is not None:
            self._cover.shelf.show(view)
        elif self._desk and view == "terminal":
            self._desk.panel.show_terminal()
        elif self._desk and view == "output":
            self._desk.panel.show_output()

    def open_file(self, path: str, line: int | None = None) -> None:
        """In the editor; of a REPL that does not run, among its files."""
        self._history.close()
        if self._cover.shelf is not None:
            self._cover.shelf.open_file(path, line)
            self._views.show("editor")
        elif self._desk is not None:
            self._desk.open_file(path, line)

    async def _close_terminal(self, terminal_id: str) -> None:
        await self._attempt(lambda: self._end_terminal(terminal_id))

    async def _end_terminal(self, terminal_id: str) -> None:
        try:
            await self._ask("DELETE", f"terminals/{terminal_id}?idle=1")
        except DevexError as error:
            if error.code != "busy":
                raise
            explanation = f"{error.message} It ends with the terminal."
            if await ask_sure("Close the terminal?", explanation=explanation, action="Close"):
                await self._ask("DELETE", f"terminals/{terminal_id}")

    async def do(self, command: str) -> None:
        """Carry out a command, whether from the palette, a key or a button."""
        desk = self._desk
        actions: dict[str, Callable[[], Any]] = {
            "theme": self._switch_theme,
            "history": self._history.open,
            "home": lambda: ui.navigate.to("/"),
            "diagnose": lambda: ui.navigate.to("/diagnose", new_tab=True),
            "find": lambda: self._palette.open("find"),
            "commands": lambda: self._palette.open("commands"),
            "search": lambda: self._palette.open("search"),
            "start": lambda: self._attempt(lambda: self._orchestrator.start(self._repl.id), Action.START),
            "sleep": lambda: self._attempt(lambda: self._orchestrator.stop(self._repl.id), Action.STOP),
            "extend": lambda: self._awake.extend(EXTEND_HOURS[0]),
            "run-again": lambda: self._run_again(None),
            "runs": self._go_to_runs,
            "share": self._share.open,
        }
        if desk is not None:
            behind: dict[str, Callable[[], Any]] = {
                "run": lambda: self._attempt(lambda: self._run(desk)),
                "stop": lambda: self._attempt(lambda: self._stop_run(desk)),
                "editor": lambda: self._go_to_editor(desk),
                "tree": lambda: self._go_to_files(desk),
                "terminal": lambda: self._go_to_terminal(desk),
                "new-terminal": lambda: self._attempt(lambda: self._new_terminal(desk)),
                "files": desk.files.toggle,
                "panel": desk.below.toggle,
            }
            if desk.previewed:
                behind |= {"preview": desk.previewed.toggle, "reload-preview": desk.previewed.reload}
            if command in behind:
                self._history.close()
            actions |= behind
        if command in actions and command not in self._left_out:
            outcome = actions[command]()
            if asyncio.iscoroutine(outcome):
                await outcome

    def _hold(self) -> Hold[Standing]:
        """Ends what is done inside when the rights end that the page was opened with."""
        return self._services.live.hold(self._access.standing)

    async def _attempt(self, work: Callable[[], Awaitable[object]], action: Action = Action.WRITE) -> None:
        await attempt(work, self._services, self._access.actor, action, self._repl.id, hold=self._hold())

    async def _run(self, desk: Desk) -> None:
        self._show_output(desk)
        await self._ask("POST", "run", {})
        desk.set_run(Run.of(await self._ask("GET", "run")))

    async def _stop_run(self, desk: Desk) -> None:
        desk.panel.say_stopping()
        desk.panel.set_run(Run.of(await self._ask("POST", "stop", {})))

    def _show_output(self, desk: Desk) -> None:
        desk.below.show()
        desk.panel.show_output()
        self._views.show("output")

    async def _run_again(self, record_id: str | None) -> None:
        self._wants_output = True
        await self._attempt(lambda: self._recorded.run_again(record_id))
        self._bring_output()

    def _go_to_runs(self) -> None:
        self._history.close()
        self._views.show("output")
        if self._cover.shelf is not None:
            self._cover.shelf.show("runs")
        elif self._desk is not None:
            self._desk.below.show()
            self._desk.panel.show_runs()

    async def _new_terminal(self, desk: Desk) -> None:
        desk.below.show()
        self._views.show("terminal")
        await self._ask("POST", "terminals", {})
        desk.panel.set_shells(shells_of((await self._ask("GET", "terminals"))["terminals"]))
        desk.panel.show_terminal(focus=True)

    def _go_to_editor(self, desk: Desk) -> None:
        self._views.show("editor")
        desk.editor.focus()

    def _go_to_files(self, desk: Desk) -> None:
        desk.files.show()
        self._views.show("files")
        desk.tree.focus()

    def _go_to_terminal(self, desk: Desk) -> None:
        desk.below.show()
        self._views.show("terminal")
        desk.panel.show_terminal(focus=True)

    async def _switch_theme(self) -> None:
        dark = await ui.run_javascript("document.body.classList.contains('body--dark')")
        keep_theme("light" if dark else "dark", self._dark)


def _has_shell(terminals: list[dict[str, Any]]) -> bool:
    return any(one["kind"] == "shell" and one["exit"] is None for one in terminals)
