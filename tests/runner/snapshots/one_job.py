"""One job with versions in a process of its own, which can be killed: `python -m tests.runner.snapshots.one_job JSON`.

{"do": "take" | "restore" | "collect" | "verify", "store": spec, "workspace", "cache", "epoch"}; to restore, also
"version" (otherwise the newest) and "from_head", when the newest is what is in the workspace now. To be killed with -9
at the Nth call of the store, before or after it is done: {"kill": [N, "before" | "after"]}; to be done by another user:
{"uid"}. Writes "begun", then the result as JSON: {"version", "notes"} or {"code", "message", "retryable"}, and
"peak_kib".

Without JSON each line of its input is a job, done in a fork: what they need is imported once. It writes "begun" and the
fork's pid, the result, and in the end, on a line of its own, "ended" and the exit code, below zero for a signal.
"""

import asyncio
import json
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from runner.errors import DevexError
from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.history import History
from runner.snapshots.restore import restore
from runner.snapshots.stores.opening import store_of
from runner.snapshots.stores.store import Listed, Store
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Workspace

PREFIX = "r1"


class Deadly:
    """A store at one of whose calls the process dies."""

    def __init__(self, store: Store, number: int, when: str) -> None:
        self._store = store
        self._left = number
        self._when = when

    async def __aenter__(self) -> Self:
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._store.__aexit__(*exc)

    def _call(self) -> bool:
        """Whether this is the one to die after."""
        self._left -= 1
        if self._left == 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        return self._left == 0

    def _called(self, is_last: bool) -> None:
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        is_last = self._call()
        data = await self._store.get(key, start, length)
        self._called(is_last)
        return data

    async def create(self, key: str, data: bytes) -> None:
        is_last = self._call()
        await self._store.create(key, data)
        self._called(is_last)

    async def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        is_last = self._call()
        async for one in self._store.list(prefix, limit):
            yield one
        self._called(is_last)

    async def delete(self, keys: Sequence[str]) -> None:
        """One by one: a server may have deleted a part when its client dies."""
        for key in keys:
            is_last = self._call()
            await self._store.delete([key])
            self._called(is_last)

    async def conditional(self) -> bool:
        return await self._store.conditional()


def peak_kib() -> int:
    """What the process had in memory at most; its own, where `ru_maxrss` begins with that of the one that forked it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


async def done(job: dict[str, Any], begun: str) -> dict[str, Any]:
    store = store_of(job["store"])
    if "kill" in job:
        store = Deadly(store, *job["kill"])
    async with AsyncExitStack() as stack:
        history = History(await stack.enter_async_context(store), PREFIX)
        cache = stack.enter_context(Cache(Path(job["cache"])))
        print(begun, flush=True)
        if job["do"] == "collect":  # as if all of it were old
            await collect(history, cache, job["epoch"], datetime.now(UTC) + timedelta(days=60), young=timedelta(0))
            return {"version": await history.head(), "notes": []}
        if job["do"] == "verify":
            return {"version": None, "notes": (await verify(history)).problems}
        workspace = stack.enter_context(Workspace(Path(job["workspace"])))
        if job["do"] == "take":
            taken = await take(workspace, history, cache, Label(epoch=job["epoch"], author="ada", message=""))
            return {"version": taken.version, "notes": taken.notes}
        version = await history.open(job.get("version") or await history.head() or "")
        now = await history.open(await history.head() or "") if job.get("from_head") else None
        restored = await restore(workspace, version, now)
        return {"version": version.commit.version, "notes": restored.notes}


def do(job: dict[str, Any], begun: str = "begun") -> None:
    if uid := job.get("uid"):  # not from the start: that one may not read what is installed
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    try:
        result = asyncio.run(done(job, begun))
    except DevexError as error:
        result = {"code": error.code, "message": error.message, "retryable": error.retryable}
    print(json.dumps({**result, "peak_kib": peak_kib()}), flush=True)


def do_each() -> None:
    import aioboto3  # noqa: F401 - a second of each fork's time

    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            try:
                do(json.loads(line), f"begun {os.getpid()}")
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        print(f"\nended {os.waitstatus_to_exitcode(status)}", flush=True)  # behind what was cut off


if __name__ == "__main__":
    do(json.loads(sys.argv[1])) if sys.argv[1:] else do_each()
