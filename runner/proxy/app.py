"""RunnerProxy: everything a running REPL can do, as one ASGI application."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.types import Receive, Scope, Send

from runner.documents.rooms import Rooms
from runner.fair_semaphore import FairSemaphore
from runner.protocol import messages
from runner.protocol.errors import ProtocolError
from runner.protocol.messages import FromAgent, Hello
from runner.proxy import documents, http
from runner.proxy.activity import Activity
from runner.proxy.events import Events
from runner.proxy.execs.execs import Execs
from runner.proxy.execs.routes import ExecRoutes
from runner.proxy.files.routes import file_routes
from runner.proxy.files.uploads import sweeping
from runner.proxy.link import AgentLink
from runner.proxy.ports.listening import Listening
from runner.proxy.ports.ports import Ports
from runner.proxy.ports.streams import Streams
from runner.proxy.records.disk import Disk
from runner.proxy.records.records import Records
from runner.proxy.records.routes import reading_semaphore, recorded_routes
from runner.proxy.runs import Runs
from runner.proxy.snapshots import VersionReaders, snapshot_routes
from runner.proxy.terminals.routes import TerminalRoutes
from runner.proxy.terminals.terminals import Terminals
from runner.snapshots.autosave import PAUSE_S, Autosave, Stored
from runner.snapshots.bringing_back import BringingBack, Restoring
from runner.snapshots.snapshots import Snapshots
from runner.workspace import TreeDelta, TreeWatcher, Usage, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """`socket_path` is what the agent of `agent_uid` dials; `cwd` is the workspace as the sandbox sees it; programs
    get `environment`. What terminals say is recorded in the folder `records`, which no program reaches, without the
    `secrets`: empty until secrets exist. Where the workspace does not outlive its sandbox, `restored` is the file that
    says that its newest version was brought back."""

    repl_id: str
    workspace: Path
    socket_path: Path
    agent_uid: int
    environment: Mapping[str, str]
    cwd: str = "/workspace"
    run_command: str | None = None
    shell: tuple[str, ...] = ("/bin/bash", "-i")
    quota_bytes: int
    quota_entries: int
    records: Path
    secrets: tuple[str, ...] = field(default=(), repr=False)
    restored: Path | None = None
    autosave_s: float = PAUSE_S
    own_ports: frozenset[int] = frozenset()  # where it listens itself on the programs' network: a pod's


class RunnerProxy:
    """`async with`, from whatever task; ASGI-callable in between.

    `on_activity` gets "keystroke", "edit", "output", "preview" and "run", each at most once a second; `on_agent`
    whether an agent is there, whenever that changes. Without `snapshots` there are no versions. `reading` is acquired
    by who reads whole records; several REPLs of one process share it. `version_readers` are also of who reads its
    versions while it does not run.
    """

    def __init__(
        self,
        config: ProxyConfig,
        *,
        on_activity: Callable[[str], None],
        on_agent: Callable[[bool], None] = lambda there: None,
        snapshots: Snapshots | None = None,
        reading: FairSemaphore | None = None,
        version_readers: VersionReaders | None = None,
    ) -> None:
        self._config = config
        self._activity = Activity(on_activity)
        self._on_agent = on_agent
        self._run_told: dict[str, Any] = {}
        self._paused: dict[str, str] | None = None
        self._streams = Streams()
        self._listening = Listening(self._on_listening, config.own_ports)
        self._events = Events(self._hello_event)
        self._link = AgentLink(
            config.socket_path,
            config.agent_uid,
            on_hello=self._on_hello,
            on_message=self._on_message,
            on_lost=self._on_lost,
            on_gone=self._on_gone,
            on_stream=self._streams.arrived,
        )
        self._reading = reading or reading_semaphore()
        self._records = Records(Disk(config.records), config.secrets)
        self._terminals = Terminals(
            self._link,
            self._records,
            config.environment,
            config.cwd,
            on_changed=self._on_terminals_changed,
            on_output=lambda: self._activity("output"),
        )
        self._execs = Execs(self._link, config.environment, config.cwd, on_output=lambda: self._activity("output"))
        self._snapshots = snapshots
        self._version_readers = version_readers or VersionReaders()
        self._autosave: Autosave | None = None
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._life = asyncio.create_task(self._live(started), name=f"proxy {self._config.repl_id}")
        try:
            await asyncio.wait([self._life, started], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self.__aexit__()
            raise
        if self._life.done():
            self._life.result()  # raises what went wrong
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        if self._life:
            await asyncio.wait([self._life])  # to its end, even when who waits here is cancelled
            self._life.result()

    async def _live(self, started: asyncio.Future[None]) -> None:
        """Owns all that runs: task groups must be entered and left by one and the same task."""
        config = self._config
        async with AsyncExitStack() as stack:
            # Files made here are the sandbox's, where it has a uid of its own: its programs change them too.
            apart = os.geteuid() == 0 and config.agent_uid != 0
            owner = (config.agent_uid, config.agent_uid) if apart else None
            workspace = Workspace(config.workspace, owner, Usage(config.quota_bytes, config.quota_entries))
            stack.callback(workspace.close)
            self._rooms = await stack.enter_async_context(
                Rooms(workspace, on_edit=self._on_edit, before_open=self._bring)
            )
            if self._snapshots is not None:
                quiesce = self._quiesce_and_look
                self._autosave = Autosave(
                    self._snapshots,
                    BringingBack(self._snapshots, quiesce=quiesce, tell=self._on_restoring, restored=config.restored),
                    quiesce=quiesce,
                    tell=self._on_stored,
                    pause_s=config.autosave_s,
                )
            self._watcher = await stack.enter_async_context(
                TreeWatcher(workspace, on_delta=self._on_delta, on_changed=self._on_disk, rev=_later_rev())
            )
            self._runs = Runs(
                self._terminals, self._records, workspace, config.run_command,
                flush=self._settled, on_run=self._on_run,
            )  # fmt: skip
            self._router = self._routes(workspace)
            await stack.enter_async_context(self._records)
            stack.callback(self._listening.close)  # once no agent reports any more
            await stack.enter_async_context(self._link)
            stack.callback(self._events.leave)
            stack.callback(self._terminals.leave)
            stack.callback(self._execs.leave)
            if self._autosave is not None:
                saving = asyncio.create_task(self._autosave.run(), name=f"autosave {config.repl_id}")
                stack.push_async_callback(_ended, saving)
            started.set_result(None)
            self._on_terminals_changed()
            await sweeping(workspace, self._stop)

    def _routes(self, workspace: Workspace) -> http.Routes:
        config = self._config
        terminals = TerminalRoutes(
            self._terminals, self._link, config.shell, on_key=lambda: self._activity("keystroke")
        )
        execs = ExecRoutes(
            self._execs, flush=self._settled, on_run=self._on_run, on_key=lambda: self._activity("keystroke")
        )
        ports = Ports(
            self._link, self._streams,
            run_state=self._runs.state, on_visit=lambda: self._activity("preview"), on_answer=self._listening.answered,
        )  # fmt: skip
        return http.Routes(
            [
                *self._snapshot_routes(),
                *terminals.routes(),
                *self._runs.routes(),
                *recorded_routes(self._records, self._reading),
                *execs.routes(),
                documents.route(self._rooms),
                *file_routes(
                    workspace,
                    rooms=self._rooms,
                    watcher=self._watcher,
                    on_write=self._on_edit,
                    before_read=self._bring,
                    home=config.cwd,
                ),
                Mount("/ports/{port:int}", app=ports),
                WebSocketRoute("/events", self._events),
                http.Endpoint("GET", "/health", self._health, writes=False),
            ]
        )

    def _snapshot_routes(self) -> list[BaseRoute]:
        if self._snapshots is None or self._autosave is None:
            return []
        return snapshot_routes(self._snapshots, self._version_readers, self._autosave)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._router(scope, receive, send)

    @property
    def agent_connected(self) -> bool:
        return self._link.connected

    async def ready(self) -> None:
        """Until an agent has said Hello; the deadline is the caller's."""
        await self._link.ready.wait()

    async def quiesce(self) -> None:
        """Bring every open document to disk."""
        await self._rooms.flush()

    async def _quiesce_and_look(self) -> None:
        """And hear at once of all that changed on the disk, so that it is not taken for a change after the version."""
        await self._rooms.flush()
        await self._watcher.look()

    async def _bring(self, path: str) -> None:
        if self._autosave is not None:
            await self._autosave.back.bring(path)

    async def _settled(self) -> None:
        """What is about to be run is all there, as it is in the editors."""
        if self._autosave is not None:
            await self._autosave.back.whole.wait()
        await self._rooms.flush()

    @property
    def is_saved(self) -> bool:
        """Whether the newest version holds everything, as far as the disk has told."""
        return self._autosave is not None and self._autosave.is_saved

    async def save(self, message: str) -> Stored:
        """A version of what is in the editors and on the disk now. Raises StoreError, Fenced, TimeoutError."""
        assert self._autosave is not None
        return await self._autosave.save(message)

    def set_paused(self, paused: Mapping[str, str] | None) -> None:
        """Tell everybody who has the REPL open why its programs are paused, or that they go on; see events."""
        self._paused = dict(paused) if paused else None
        self._events.publish({"type": "quota", "paused": self._paused})

    async def _health(self, _: Request) -> Response:
        return http.Json({"agent": self.agent_connected, "terminals": len(self._terminals)})

    # What the agent says

    def _on_hello(self, hello: Hello) -> None:
        self._terminals.hello(self._execs.hello(hello))
        self._on_agent(True)

    def _on_lost(self) -> None:
        self._execs.lost()
        self._terminals.lost()
        self._on_agent(False)

    def _on_gone(self) -> None:
        self._execs.gone()
        self._terminals.gone()

    def _on_message(self, message: FromAgent) -> None:
        if isinstance(message, messages.Ports):
            self._listening.reported(message.ports)
        elif isinstance(message, Hello):
            raise ProtocolError("a second Hello")
        elif not self._execs.message(message):
            self._terminals.message(message)

    # What changes files

    def _on_edit(self, name: str) -> None:
        self._activity("edit")
        self._on_change(name)

    def _on_run(self) -> None:
        self._activity("run")
        if self._autosave:
            self._autosave.hurry()

    def _on_change(self, name: str = "", path: str = "") -> None:
        if self._autosave:
            self._autosave.changed(name, path)

    # What is told to browsers

    def _on_stored(self, stored: Stored) -> None:
        self._events.publish({"type": "stored", **asdict(stored)})

    def _on_listening(self, ports: list[dict[str, Any]]) -> None:
        self._events.publish({"type": "ports", "ports": ports})

    def _hello_event(self) -> dict[str, Any]:
        restoring = self._autosave.back.state if self._autosave else None
        return {
            "type": "hello",
            "rev": self._watcher.rev,
            "run": self._runs.state(),
            "ports": self._listening.listing(),
            "terminals": self._terminals.listing(),
            "stored": asdict(self._autosave.state) if self._autosave else None,
            "restoring": asdict(restoring) if restoring else None,
            "paused": self._paused,
        }

    def _on_terminals_changed(self) -> None:
        self._events.publish({"type": "terminals", "terminals": self._terminals.listing()})
        run = self._runs.state()
        if run != self._run_told:
            self._run_told = run
            self._events.publish({"type": "run", **run})

    def _on_restoring(self, state: Restoring) -> None:
        self._events.publish({"type": "restoring", **asdict(state)})

    def _on_disk(self, path: str) -> None:
        self._rooms.disk_hint(path)
        self._on_change(path=path)

    def _on_delta(self, delta: TreeDelta) -> None:
        if delta.ops:
            self._on_change()
        if delta.resync:
            self._events.publish({"type": "resync", "rev": delta.rev})
        else:
            self._events.publish({"type": "tree", "rev": delta.rev, "ops": delta.ops})


def _later_rev() -> int:
    """Greater than any of the proxy before: a tree that is shown takes nothing that is older than what it has."""
    return time.time_ns() // 1_000_000 * 1000


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
