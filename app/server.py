"""Puts the application together and runs it: database, orchestrator, pages, API, and the door before them all."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from types import FrameType
from typing import Any

import structlog
from nicegui import app, ui
from nicegui.server import Server as Uvicorn
from starlette.types import ASGIApp

from app import api, cookies, data_dir
from app.access import RightsChanged, SignInNeeded, Standing, assert_routes_guarded
from app.accounts import Accounts
from app.accounts.links import setup_url
from app.addresses import Addresses
from app.api.application import OPENAPI
from app.gateway.connections import connection_factory
from app.gateway.diagnosis import Diagnosis
from app.gateway.door import Door
from app.gateway.previews import Previews
from app.gateway.runners import Runners
from app.gateway.waking import Waking
from app.members import Members
from app.pages import application as pages
from app.pages import open_pages
from app.services import Services
from app.settings import Settings
from app.storage import database
from app.storage.records import TortoiseRecords
from components import theme
from components.repl import PING_EVERY_S
from orchestrator import templates
from orchestrator.backends.base import Backend
from orchestrator.clock import SystemClock
from orchestrator.domain import Repl
from orchestrator.registry import NoSuchRepl
from orchestrator.service import Orchestrator
from runner.errors import DevexError
from runner.live import Live

log = structlog.get_logger("devex")

SWEEP_EVERY_S = 10.0  # what another process revoked is closed within 15 s
STARTED_POLL_S = 0.02
SWITCH_S = 0.0005  # a thread that computes (records, versions, searches) keeps every key waiting for so long at a time
RECONNECT_TIMEOUT_S = 20.0  # a laptop that wakes finds its page as it was
KEEP_ALIVE_S = 75  # longer than a proxy in front keeps one (60 s is usual): what it sends never meets a closing one
PONG_WITHIN_S = 20.0  # a browser's answer to a ping; else its WebSocket is closed
DRAIN_S = 5  # what is being answered when the server stops may end
WEBSOCKET_MOST_BYTES = 8 * 1024 * 1024  # one message: a large paste
NOT_GUARDED = (*open_pages.NO_PAGES, "/favicon.ico", OPENAPI)  # scripts, styles and shapes: nothing of anybody

_NICEGUI_LIFESPAN = app.router.lifespan_context  # as it was before any Server wrapped it


class Server:
    """The assembled application, on NiceGUI's one app. `run` serves it until it is told to stop."""

    def __init__(self, settings: Settings, *, backend: Backend, on_interrupt: Callable[[], None] | None = None) -> None:
        """The data folder is prepared. `on_interrupt` is called when SIGINT comes, before anything is stopped."""
        self.settings = settings
        self.failure: DevexError | None = None
        self._on_interrupt = on_interrupt
        self._addresses = Addresses.of(settings)
        self._secret = settings.secret.get_secret_value() or data_dir.secret_of(settings.data_dir)
        clock = SystemClock()
        self.orchestrator = Orchestrator(
            backend=backend,
            records=TortoiseRecords(),
            templates=templates.load(),
            clock=clock,
            limits=settings.limits,
            environment=self._environment,
            may_copy=self._may_copy,
        )
        self.accounts = Accounts(clock, sign_up=settings.sign_up, session_days=settings.session_days)
        self.members = Members(clock)
        self.live = Live[Standing]()
        self.services = Services(settings, self.orchestrator, self.accounts, self.members, self.live)
        self.accounts.sessions.on_ended = self._end_sessions
        self.members.on_changed = self._end_membership
        self._waking = Waking(self.services, clock)
        self._previews = Previews(self.services, self._addresses, self._secret, self._waking)
        if backend.preview_doors is not None:
            backend.preview_doors.may_look = self._previews.may_look
        self.api = api.build(self.services, self._previews)
        pages.prepare(self.services, self._addresses, self._previews)
        assert_routes_guarded([*self.api.routes, *app.routes], public=NOT_GUARDED)
        app.router.lifespan_context = self._lifespan
        app.build_middleware_stack = self._door  # type: ignore[method-assign]  # before all that `ui.run` adds

    def run(self) -> None:
        """Serve until told to stop. Why it could not start is left in `failure`."""
        settings = self.settings
        sys.setswitchinterval(SWITCH_S)
        logging.getLogger("uvicorn.error").addFilter(lambda record: self.failure is None)
        with data_dir.held(settings.data_dir):
            ui.run(
                host=settings.host,
                port=settings.port,
                title="DEVEX",
                language="en-US",
                show=False,
                reload=False,
                show_welcome_message=False,
                reconnect_timeout=RECONNECT_TIMEOUT_S,
                binding_refresh_interval=None,
                dark=None,
                favicon=theme.FAVICON,
                tailwind=False,
                storage_secret=self._secret,
                session_middleware_kwargs={
                    "session_cookie": cookies.full_name(cookies.UI, https=settings.https),
                    "https_only": settings.https,
                },
                http=connection_factory(settings),
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                ws_per_message_deflate=False,
                ws_ping_interval=PING_EVERY_S,
                ws_ping_timeout=PONG_WITHIN_S,
                ws_max_size=WEBSOCKET_MOST_BYTES,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S,
            )

    def _door(self) -> ASGIApp:
        return Door(
            addresses=self._addresses,
            pages=pages.middleware_stack(),
            api=self.api,
            runners=Runners(self.services),
            previews=self._previews,
            diagnosis=Diagnosis(https=self.settings.https),
            access_log=self.settings.access_log,
        )

    def _environment(self, repl: Repl) -> dict[str, str]:
        """What programs are told of the world outside."""
        return {
            "DEVEX_URL": f"{self.settings.origin}/repl/{repl.id}",
            "DEVEX_PREVIEW_URL": self._addresses.previews.url("{port}", repl.slug),
        }

    async def _may_copy(self, owner_id: str, repl_id: str) -> bool:
        """A fork may wait long for its copy: is its owner still something to the source?"""
        try:
            source = await self.orchestrator.get(repl_id)
        except NoSuchRepl:
            return True  # there is nothing to be seen: the backend says so
        return await self.members.role_of(owner_id, source) is not None

    @asynccontextmanager
    async def _lifespan(self, application: Any) -> AsyncIterator[Any]:
        """Around NiceGUI's: nothing is served before the database and the REPLs are there."""
        async with AsyncExitStack() as stack:
            starting = stack.enter_context(ExitStack())
            if self._on_interrupt is not None:  # from here on: REPLs of a server before are found while this one starts
                starting.enter_context(_on_sigint(self._on_interrupt))
            try:
                url = database.url_of(self.settings.database_url.get_secret_value(), self.settings.data_dir)
                await stack.enter_async_context(database.opened(url))
                await stack.enter_async_context(self.orchestrator)
            except DevexError as error:
                self.failure = error
                raise
            stack.push(starting.pop_all())  # what comes while REPLs are stopped hurries uvicorn only
            stack.push_async_callback(self._waking.close)
            await stack.enter_async_context(_background(self._keep_sweeping(), "sweep"))
            state = await stack.enter_async_context(_NICEGUI_LIFESPAN(application))
            await stack.enter_async_context(_background(self._greet(), "greet"))
            yield state

    # Sessions and rights that ended

    def _standings(self) -> set[Standing]:
        """What everything that is open was opened with."""
        return self.live.holders() | set(open_pages.by_standing())

    def _end_sessions(self, session_ids: Collection[str]) -> None:
        """Close the sockets, streams and pages of sessions that have ended."""
        ended = set(session_ids)
        self._close({one for one in self._standings() if one.session_id in ended}, signed_out=True)

    def _end_membership(self, repl_id: str, user_id: str) -> None:
        """Close what somebody has of a REPL: it comes back with the rights they have now, if any."""
        of_theirs = {one for one in self._standings() if (one.repl_id, one.user_id) == (repl_id, user_id)}
        self._close(of_theirs, signed_out=False)

    def _close(self, standings: Collection[Standing], *, signed_out: bool) -> None:
        self.live.end(standings, SignInNeeded if signed_out else RightsChanged)
        open_pages.close(standings, signed_out=signed_out)

    async def sweep(self) -> None:
        """Close what is held open with a session or a role that is good no longer, and of which nobody has told: it
        expired, the REPL is in the trash, or another process did it.
        """
        if standings := self._standings():
            session_ids = {one.session_id for one in standings}
            self._end_sessions(session_ids - await self.accounts.sessions.good(session_ids))
            self._close(await self.members.outdated(standings), signed_out=False)
        await self.accounts.forget_expired()

    async def _keep_sweeping(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except Exception:  # the database is away for a moment: the next round tries again
                log.exception("sweep failed")

    async def _greet(self) -> None:
        """Say where it is once it can be asked there."""
        uvicorn = getattr(Uvicorn, "instance", None)
        while uvicorn is not None and not uvicorn.started:  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(STARTED_POLL_S)
        gc.enable()  # see app/cli.py
        gc.freeze()  # 100,000 objects of modules: each full collection would look at them again, for 50 ms and more
        origin = self.settings.origin
        print(f"DEVEX is at {origin}", flush=True)
        if await self.accounts.nobody_yet():
            address = setup_url(origin, await self.accounts.setup_link())
            print(f"Create the administrator (once, within a day): {address}", flush=True)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Run `work` beside what is inside, and end it with it; a failure is logged."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_log_failure)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("a task of the server failed", task=task.get_name(), exc_info=error)


@contextmanager
def _on_sigint(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` when SIGINT comes, and then whoever handled it before."""
    previous = signal.getsignal(signal.SIGINT)

    def interrupted(number: int, frame: FrameType | None) -> None:
        note()
        if callable(previous):
            previous(number, frame)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
