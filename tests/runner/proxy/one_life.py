"""One life of a runner proxy, in a process that can be killed: `python -m tests.runner.proxy.one_life FOLDER EPOCH`.

Serves FOLDER/workspace on FOLDER/http.sock and keeps its versions in FOLDER/store. FOLDER/ticks is a clock of its event
loop: a u64 that grows by one at most every TICK_S, and stands still while the loop does, so that what two timers of the
loop are apart is told exactly on however busy a machine. FOLDER/told gets a line [tick, event] of whatever it tells.
"""

import asyncio
import mmap
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn
import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runner.proxy.app import ProxyConfig, RunnerProxy
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.worker.workers import Workers
from runner.viewer import Viewer
from runner.workspace import Usage

TICK_S: Final = 0.005
PAUSE_TICKS: Final = 100  # of autosave


class Ticks:
    """FOLDER/ticks, for whoever reads it; `run` makes them."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._count = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")

    @property
    def now(self) -> int:
        return self._count[0]

    async def run(self) -> None:
        now = asyncio.get_running_loop().time
        due = now()
        while True:
            due = max(due + TICK_S, now())
            await asyncio.sleep(due - now())
            self._count[0] += 1


async def live(folder: Path, epoch: int) -> None:
    workspace, limit = folder / "workspace", Usage(1 << 30, 100_000)
    config = ProxyConfig(
        repl_id="r1", workspace=workspace, socket_path=folder / "agent.sock", agent_uid=os.getuid(),
        environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "PS1": "$ "}, cwd=str(workspace), shell=("/bin/sh", "-i"),
        quota_bytes=limit.disk_bytes, quota_entries=limit.entries,
        records=folder / "records", restored=folder / "restored", autosave_s=PAUSE_TICKS * TICK_S,
    )  # fmt: skip
    shelf = Shelf(
        store=spec_of(folder / "store"), prefix="r1", workspace=workspace, owner=None, limit=limit,
        cache=folder / "cache.db", epoch=epoch,
    )  # fmt: skip
    ticks = Ticks(folder / "ticks")
    async with Workers() as workers, asyncio.TaskGroup() as tasks:
        tasks.create_task(ticks.run())
        proxy = RunnerProxy(config, on_activity=lambda _: None, snapshots=Snapshots(workers, shelf))

        async def ada(scope: Scope, receive: Receive, send: Send) -> None:
            await proxy({**scope, "devex.viewer": Viewer("u1", "ada", can_write=True)}, receive, send)

        async with proxy:
            with (folder / "told").open("ab", buffering=0) as told:
                tasks.create_task(listen(ada, lambda text: told.write(f"[{ticks.now}, {text}]\n".encode())))
                server = uvicorn.Config(ada, uds=str(folder / "http.sock"), log_level="warning", lifespan="off")
                await uvicorn.Server(server).serve()


async def listen(proxy: ASGIApp, hear: Callable[[str], object]) -> None:
    """As a browser does, but with no socket between: what is told is heard in the same turn, or the next."""
    connecting = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        return connecting.pop() if connecting else await asyncio.Future()

    async def send(message: Message) -> None:
        if "text" in message:
            hear(message["text"])

    await proxy({"type": "websocket", "path": "/events", "headers": [], "subprotocols": []}, receive, send)


if __name__ == "__main__":
    uvloop.run(live(Path(sys.argv[1]), int(sys.argv[2])))
