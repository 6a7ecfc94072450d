"""A backend without processes or files: sandboxes are entries in a table, and behave like any other's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from orchestrator.backends.base import BackendError, Check, Election, OnActivity, PreviewDoors, SandboxSpec
from orchestrator.changes import Changes
from orchestrator.domain import Observation, SandboxPhase, Size
from runner.errors import DevexError


@dataclass
class Machine:
    """What outlives a server: its sandboxes and workspaces. Give it to the next MemoryBackend to restart the server."""

    sandboxes: dict[str, Observation] = field(default_factory=dict)
    workspaces: dict[str, dict[str, bytes]] = field(default_factory=dict)
    versions: dict[str, list[dict[str, bytes]]] = field(default_factory=dict)
    cpu_times: dict[str, float] = field(default_factory=dict)
    lacks: set[str] = field(default_factory=set)  # tools
    collected: list[tuple[str, int]] = field(default_factory=list)  # whose versions were thinned out, with the epoch

    def version(self, repl_id: str, name: str) -> dict[str, bytes] | None:
        """The files of a version, by path; None when there is none of this name."""
        number = int(name.rpartition("-")[2])
        return dict(enumerate(self.versions.get(repl_id, []), 1)).get(number)

    def compute(self, repl_id: str, cpu_s: float) -> None:
        """Its programs use that much CPU."""
        self.cpu_times[repl_id] = self.cpu_times.get(repl_id, 0.0) + cpu_s


class MemoryBackend:
    """Starts finish as soon as the loop is free. Subclasses that misbehave override `_start` or `_end`."""

    keeps_disk = True
    election: Election | None = None
    preview_doors: PreviewDoors | None = None

    def __init__(self, machine: Machine | None = None) -> None:
        self.machine = machine or Machine()
        self._changes = Changes[str](key=str)
        self._starts: dict[str, asyncio.Task[None]] = {}
        self.on_activity: OnActivity = lambda repl_id, reason: None  # set by the orchestrator

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in list(self._starts.values()):
            task.cancel()
        await asyncio.gather(*self._starts.values(), return_exceptions=True)

    async def ensure(self, spec: SandboxSpec) -> None:
        current = self.machine.sandboxes.get(spec.repl_id)
        if current is not None and current.alive:
            if current.epoch != spec.epoch:
                raise BackendError("Another run of it is still there.", retryable=True)
            return
        if spec.repl_id not in self.machine.workspaces:
            raise BackendError("It has no files.", retryable=False)
        self._show(spec.repl_id, spec.epoch, SandboxPhase.STARTING)
        task = asyncio.create_task(self._start(spec), name=f"start {spec.repl_id}")
        self._starts[spec.repl_id] = task
        task.add_done_callback(lambda _: self._starts.pop(spec.repl_id, None))

    async def observe(self) -> dict[str, Observation]:
        return dict(self.machine.sandboxes)

    async def cpu_times(self) -> dict[str, float]:
        running = [one.repl_id for one in self.machine.sandboxes.values() if one.phase is SandboxPhase.RUNNING]
        return {repl_id: self.machine.cpu_times.get(repl_id, 0.0) for repl_id in running}

    def watch(self) -> AsyncIterator[str]:
        return self._changes.subscribe()

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        if repl_id not in self.machine.workspaces:
            raise BackendError("It has no files.", retryable=False)
        versions = self.machine.versions.setdefault(repl_id, [])
        now = dict(self.machine.workspaces[repl_id])
        if not versions or versions[-1] != now:
            versions.append(now)
        return f"{epoch}-{len(versions)}"

    async def stop(self, repl_id: str, epoch: int) -> None:
        current = self.machine.sandboxes.get(repl_id)
        if current is None or current.epoch != epoch:
            return
        if current.alive:
            self._show(repl_id, epoch, SandboxPhase.STOPPING)
            if task := self._starts.get(repl_id):
                task.cancel()
            await self._end(repl_id, epoch)
        self.machine.sandboxes.pop(repl_id, None)
        self._tell(repl_id)

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        copied: dict[str, bytes] | None = {}
        if copy_of is not None:
            found = self.machine.workspaces.get(copy_of)
            copied = found if version is None else self.machine.version(copy_of, version)
        if copied is None:
            raise BackendError("The files to copy are gone.", retryable=False)
        self.machine.workspaces[repl_id] = {**copied, **files}
        return None

    async def collect(self, repl_id: str, epoch: int) -> None:
        """Of versions without a time none is old."""
        if repl_id not in self.machine.sandboxes:
            self.machine.collected.append((repl_id, epoch))

    async def delete_workspace(self, repl_id: str) -> None:
        self.machine.workspaces.pop(repl_id, None)
        self.machine.versions.pop(repl_id, None)

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        current = self.machine.sandboxes.get(repl_id)
        if current is None or current.phase is not SandboxPhase.RUNNING:
            return None
        return self._app(repl_id, methods=["GET", "PUT"])

    def files_app(self, repl_id: str, size: Size) -> ASGIApp:
        return self._app(repl_id, methods=["GET"])

    def has_tool(self, name: str) -> bool:
        return name not in self.machine.lacks

    async def doctor(self) -> list[Check]:
        return [Check(name="memory", ok=True, detail="Nothing is kept and nothing is run.")]

    def lose(self, repl_id: str, reason: str) -> None:
        """The sandbox ends by itself."""
        self._show(repl_id, self.machine.sandboxes[repl_id].epoch, SandboxPhase.FAILED, reason)

    async def _start(self, spec: SandboxSpec) -> None:
        self._show(spec.repl_id, spec.epoch, SandboxPhase.RUNNING)

    async def _end(self, repl_id: str, epoch: int) -> None:
        """End the programs; returns when they are gone."""

    def _show(self, repl_id: str, epoch: int, phase: SandboxPhase, reason: str | None = None) -> None:
        self.machine.sandboxes[repl_id] = Observation(repl_id=repl_id, epoch=epoch, phase=phase, reason=reason)
        self._tell(repl_id)

    def _tell(self, repl_id: str) -> None:
        self._changes.publish(repl_id)

    def _app(self, repl_id: str, methods: list[str]) -> ASGIApp:
        files = self.machine.workspaces.get(repl_id, {})

        async def health(request: Request) -> Response:
            return JSONResponse({"agent": True, "terminals": 0})

        async def file(request: Request) -> Response:
            path = request.path_params["path"]
            if request.method == "PUT":
                files[path] = await request.body()
                self.on_activity(repl_id, "edit")
                return Response(status_code=204)
            if path not in files:
                raise HTTPException(404)
            return Response(files[path], media_type="application/octet-stream")

        async def tree(request: Request) -> Response:
            version = self.machine.version(repl_id, request.path_params["version"])
            if version is None:
                gone = DevexError("no_version", "This version is gone.", "Choose another one.", status=404)
                return JSONResponse(gone.body(), gone.status)
            entries = [[path, "f", len(data)] for path, data in version.items()]
            return JSONResponse({"path": "", "entries": entries})

        routes = [
            Route("/health", health),
            Route("/files/{path:path}", file, methods=methods),
            Route("/snapshots/{version}/tree", tree),
        ]
        return Starlette(routes=routes)
