"""The Run button: one program at a time in a terminal of its own.

- `POST run` {record?} -> 201 {terminal, command, started_at}; restarts a running one; open documents are saved first.
  What the workspace says is run; or with a `record`, by its id, the very command of that run, as it was
- `POST stop` -> as `GET run`; SIGTERM, after 5 s SIGKILL
- `GET run` -> {running, terminal, command, started_at, exit_code, duration_s, peak_bytes, forced}; `exit_code` null
  when the agent ended before it; `peak_bytes`, as `Exited` has it, null when nobody knows; `forced` when a stop or
  restart had to kill it; `command` is as it was recorded
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from runner.errors import DevexError
from runner.proxy import http
from runner.proxy.records.about import Origin
from runner.proxy.records.records import Records
from runner.proxy.run_config import CONFIG_FILES, MAX_CONFIG_BYTES, RunConfig, discover
from runner.proxy.terminals.exits import KILL_S, TERM_S
from runner.proxy.terminals.ids import number_of
from runner.proxy.terminals.screen import DEFAULT_SIZE
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.terminals import Terminals
from runner.viewer import Viewer, viewer_of
from runner.workspace import Workspace

RUN_BODY_BYTES: Final = 4096  # the id of a record


class Runs:
    """`flush` brings open documents to disk, `on_run` is called at every start."""

    def __init__(
        self,
        terminals: Terminals,
        records: Records,
        workspace: Workspace,
        default: str | None,
        *,
        flush: Callable[[], Awaitable[None]],
        on_run: Callable[[], None],
    ) -> None:
        self._terminals = terminals
        self._records = records
        self._workspace = workspace
        self._default = default
        self._flush = flush
        self._on_run = on_run
        self._lock = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        return [
            http.Endpoint("GET", "/run", self._get, writes=False),
            http.Endpoint("POST", "/run", self._post_run, writes=True),
            http.Endpoint("POST", "/stop", self._post_stop, writes=True),
        ]

    def state(self) -> dict[str, Any]:
        """As `GET run`: the program that runs, or the one that ran last."""
        terminal = self._current()
        if terminal is None:
            keys = ("terminal", "command", "started_at", "exit_code", "duration_s", "peak_bytes")
            return {"running": False, **dict.fromkeys(keys), "forced": False}
        about = terminal.recording.about if terminal.recording else None
        started = datetime.fromtimestamp(number_of(terminal.id) / 1000, UTC)
        return {
            "running": terminal.exit is None,
            "terminal": terminal.id,
            "command": about.command if about else None,
            "started_at": started.isoformat(),
            "exit_code": terminal.exit.status if terminal.exit and not terminal.exit.lost else None,
            "duration_s": terminal.duration_s,
            "peak_bytes": terminal.exit.peak_bytes if terminal.exit else None,
            "forced": about is not None and about.forced,
        }

    async def start(self, who: Viewer, record_id: str | None = None) -> dict[str, Any]:
        """Run what the workspace says, or what that record is of. DevexError."""
        async with self._lock:
            await self._flush()
            if record_id is None:
                run = discover(await to_thread.run_sync(self._config_files), self._default)
            else:
                run = await self._recorded(record_id)
            await self._stop()
            before = self._current()
            environment = dict(run.environment)
            if run.port:
                environment["PORT"] = str(run.port)
            terminal = await self._terminals.open(
                "run", ("/bin/sh", "-c", run.script), number=time.time_ns() // 1_000_000,
                size=before.size if before else DEFAULT_SIZE, environment=environment, origin=Origin(who=who, run=run),
            )  # fmt: skip
            if before:
                self._terminals.close(before)
            self._on_run()
            return {key: self.state()[key] for key in ("terminal", "command", "started_at")} | {"terminal": terminal.id}

    async def _recorded(self, record_id: str) -> RunConfig:
        if run := (await self._records.about(record_id)).run:
            return run
        raise DevexError("no_command", "What it ran is not recorded.", "Run what the REPL's files say.", status=409)

    async def stop(self) -> dict[str, Any]:
        """End the program if one runs."""
        async with self._lock:
            await self._stop()
            return self.state()

    async def _stop(self) -> None:
        terminal = self._current()
        if terminal is None or terminal.exit:
            return
        if terminal.recording:
            terminal.recording.stopped()
        self._terminals.signal(terminal, signal.SIGTERM)
        if await _ended(terminal, TERM_S):
            return
        if terminal.recording:
            terminal.recording.stopped(forced=True)
        self._terminals.signal(terminal, signal.SIGKILL)
        if await _ended(terminal, KILL_S):
            return
        self._terminals.close(terminal)  # the agent does not report; what it has of the program is hung up

    def _current(self) -> Terminal | None:
        runs = self._terminals.of_kind("run")
        return runs[-1] if runs else None

    def _config_files(self) -> dict[str, bytes]:
        found = {}
        for name in CONFIG_FILES:
            try:
                found[name] = self._workspace.read(name, MAX_CONFIG_BYTES)
            except (DevexError, OSError):
                continue  # not there, or nothing that could be a configuration
        return found

    async def _get(self, _: Request) -> Response:
        return http.Json(self.state())

    async def _post_run(self, request: Request) -> Response:
        says_something = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        asked = await http.json_body(request, RUN_BODY_BYTES) if says_something else {}
        record_id = http.field(asked, "record", str) if asked.get("record") is not None else None
        return http.Json(await self.start(viewer_of(request.scope), record_id), 201)

    async def _post_stop(self, _: Request) -> Response:
        return http.Json(await self.stop())


async def _ended(terminal: Terminal, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await terminal.ended.wait()
    except TimeoutError:
        return False
    return True
