"""Runs `one_job` and tells what came of it; and what must be true of a store and a workspace afterwards."""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from runner.snapshots.history import History
from runner.snapshots.layout import index_key, name_in
from runner.snapshots.stores.opening import StoreSpec, store_of
from runner.snapshots.verify import verify
from runner.snapshots.worker.process import MALLOC
from runner.workspace.drafts import is_draft
from tests.runner.snapshots.one_job import PREFIX

ROOT = Path(__file__).parents[3]
JOB_S = 120.0

Picture = dict[bytes, tuple[object, ...]]


class Run(Protocol):
    async def __call__(self, job: Mapping[str, Any], *, kill_after_s: float | None = None) -> dict[str, Any] | None:
        """None when it was killed: by itself, or so long after it had begun."""


async def run(job: Mapping[str, Any]) -> dict[str, Any] | None:
    """None when it was killed."""
    command = (sys.executable, "-m", "tests.runner.snapshots.one_job", json.dumps(job))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **MALLOC}, stdout=asyncio.subprocess.PIPE, limit=1 << 24
    )
    try:
        async with asyncio.timeout(JOB_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode == -signal.SIGKILL:
        return None
    return dict(json.loads(said.removeprefix(b"begun\n") or b"{}"))


@asynccontextmanager
async def running_in_forks() -> AsyncIterator[Run]:
    """Many jobs, one after another, by one process that has imported what they need."""
    command = (sys.executable, "-m", "tests.runner.snapshots.one_job")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **MALLOC}, stdin=pipe, stdout=pipe, limit=1 << 24
    )
    assert process.stdin is not None
    assert process.stdout is not None
    tell, hear = process.stdin.write, process.stdout.readline

    async def run(job: Mapping[str, Any], *, kill_after_s: float | None = None) -> dict[str, Any] | None:
        tell(json.dumps(job).encode() + b"\n")
        async with asyncio.timeout(JOB_S):
            said = [await hear()]
            if kill_after_s is not None and said[0].startswith(b"begun "):
                hearing = asyncio.ensure_future(hear())
                await asyncio.wait([hearing], timeout=kill_after_s)
                if not hearing.done():
                    with suppress(ProcessLookupError):
                        os.kill(int(said[0].split()[1]), signal.SIGKILL)
                said.append(await hearing)
            while not said[-1].startswith(b"ended "):
                assert said[-1], said
                said.append(await hear())
        code = int(said[-1].split()[1])
        if code == -signal.SIGKILL:
            return None
        assert code == 0, said
        return dict(json.loads(said[1]))

    try:
        yield run
    finally:
        process.kill()
        await process.wait()


def picture(root: Path) -> Picture:
    """Everything a version promises to bring back; without what a killed restore was just writing."""
    found: Picture = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(root))
            if stat.S_ISLNK(status.st_mode):
                found[key] = ("link", os.readlink(path), status.st_mtime_ns)
            elif stat.S_ISDIR(status.st_mode):
                found[key] = ("folder", stat.S_IMODE(status.st_mode))
            elif not is_draft(os.fsdecode(name)):
                with open(path, "rb") as file:
                    found[key] = ("file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, file.read())
    return found


async def check_whole(spec: StoreSpec) -> list[str]:
    """Every version is; -> their names, the newest first."""
    async with store_of(spec) as store:
        history = History(store, PREFIX)
        assert (await verify(history)).problems == []
        return await history.versions()


async def newest(spec: StoreSpec) -> str | None:
    async with store_of(spec) as store:
        return await History(store, PREFIX).head()


async def check_nothing_is_left_over(spec: StoreSpec) -> None:
    """After a collection without regard to age: whatever is in the store, a version names it."""
    async with store_of(spec) as store:
        history = History(store, PREFIX)
        commits = await history.every_commit()
        parts = {part for commit in commits for part in commit.index}
        packs = (await history.places(parts)).packs()
        there = {name_in(one.key) for one in await history.objects("")}
        expected = packs | {index_key(part) for part in parts}
        assert {name for name in there if name[0] in "pti"} <= expected
