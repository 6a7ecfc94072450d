"""What a job works on, opened as its message says: versions, the workspace, the cache of what was stored."""

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from runner.errors import DevexError
from runner.snapshots.cache import Cache, discard
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged
from runner.snapshots.stores.opening import place_of
from runner.snapshots.version import Version
from runner.snapshots.worker.frames import Message
from runner.workspace import UNLIMITED, Usage, Workspace

VERSIONS_OPEN: Final = 2  # kept for who reads on; each holds an index in memory

log = logging.getLogger(__name__)

T = TypeVar("T")


class Versions:
    """Those that were read last stay open."""

    def __init__(self) -> None:
        self._versions: dict[tuple[str, str, str], Version] = {}

    async def get(self, job: Message, history: History, name: str) -> Version:
        key = (repr(job["store"]), job["prefix"], name)
        version = self._versions.pop(key, None) or await history.open(name)
        self._versions[key] = version  # the last one used is the last in order
        while len(self._versions) > VERSIONS_OPEN:
            del self._versions[next(iter(self._versions))]
        return version

    def close(self, job: Message) -> None:
        """Of a REPL: they would look for what they name where it will no more be."""
        of = (repr(job["store"]), job["prefix"])
        self._versions = {key: version for key, version in self._versions.items() if key[:2] != of}


def workspace_of(job: Message) -> Workspace:
    owner = job.get("owner")
    return Workspace(Path(job["workspace"]), tuple(owner) if owner else None, limit_of(job))


def limit_of(job: Message) -> Usage:
    return Usage(*job["limit"]) if job.get("limit") else UNLIMITED


async def cached(job: Message, work: Callable[[Cache], Awaitable[T]]) -> T:
    """A cache that breaks (a full disk, a torn file: what is read there may be anything) is thrown away: without one
    everything is read again.
    """
    path = Path(job["cache"])
    try:
        with _cache(job) as cache:
            return await work(cache)
    except Exception as error:
        if isinstance(error, DevexError) and not isinstance(error, Damaged):  # which the cache has no part in
            raise
        log.warning("the cache %s is made anew: %r", path, error)
        discard(path)
    with Cache(None) as cache:
        return await work(cache)


def _cache(job: Message) -> Cache:
    return Cache(Path(job["cache"]), f"{place_of(job['store'])} {job['prefix']}")
