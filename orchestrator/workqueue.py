"""A queue of keys: each key is worked on by one task at a time, and what is added twice is done once."""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

from orchestrator.clock import Clock, within

CONCURRENT_KEYS = 64  # more than hang at once in practice, fewer than would swamp a backend


class WorkQueue:
    """`work(key)` must not raise; whatever is added while it runs is done again afterwards."""

    def __init__(self, work: Callable[[str], Awaitable[None]], clock: Clock) -> None:
        self._work = work
        self._clock = clock
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._busy: set[str] = set()
        self._due: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []  # may hold outdated entries; `_due` tells
        self._changed = asyncio.Event()

    def add(self, key: str) -> None:
        if key not in self._queued:
            self._queued.add(key)
            if key not in self._busy:
                self._ready.append(key)
                self._changed.set()

    def add_at(self, key: str, at: datetime) -> None:
        """A later call for the same key replaces an earlier one."""
        if self._due.get(key) == at:
            return
        self._due[key] = at
        heapq.heappush(self._heap, (at, key))
        self._changed.set()

    def forget(self, key: str) -> None:
        """Drop what was to be done later."""
        self._due.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                next_at = self._move_due()
                while self._ready and len(self._busy) < CONCURRENT_KEYS:
                    key = self._ready.popleft()
                    self._queued.discard(key)
                    self._busy.add(key)
                    tasks.create_task(self._process(key), name=f"work on {key}")
                await self._wait(next_at)

    async def _process(self, key: str) -> None:
        try:
            await self._work(key)
        finally:
            self._busy.discard(key)
            if key in self._queued:
                self._ready.append(key)
            self._changed.set()

    def _move_due(self) -> datetime | None:
        """Queue what is due; the time of what comes next."""
        now = self._clock.now()
        while self._heap:
            at, key = self._heap[0]
            if self._due.get(key) == at and at > now:
                return at
            heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                self.add(key)
        return None

    async def _wait(self, until: datetime | None) -> None:
        if until is None:
            await self._changed.wait()
            return
        try:
            await within(self._clock, until, self._changed.wait())
        except TimeoutError:
            return
