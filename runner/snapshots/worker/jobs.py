"""What the worker process does: each job, in the store it names, by one of two parts."""

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from runner.snapshots.history import History
from runner.snapshots.stores.opening import store_of
from runner.snapshots.stores.store import Store
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.opening import Versions
from runner.snapshots.worker.reads import Reads
from runner.snapshots.worker.reply import Reply
from runner.snapshots.worker.turns import Queue
from runner.snapshots.worker.writes import Writes

if TYPE_CHECKING:
    from runner.snapshots.stores.asking import Ask


class Jobs:
    """`do_NAME` of a part does the job of that name; its docstring says what is in the job beside store and prefix ->
    the result.

    Use `async with`: stores stay open for the next job. `ask` asks the server.
    """

    def __init__(self, ask: "Ask") -> None:
        self._ask = ask
        self._stack = AsyncExitStack()
        self._stores: dict[str, Store] = {}
        self._opening = asyncio.Lock()
        queue, versions = Queue(), Versions()
        self._parts = (Writes(queue, versions), Reads(queue, versions))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def do(self, job: Message, reply: Reply) -> Any:
        """Its result."""
        history = History(await self._store(job["store"]), job["prefix"])
        do = next(filter(None, (getattr(part, f"do_{job['do']}", None) for part in self._parts)))
        return await do(job, history, reply)

    async def _store(self, spec: Message) -> Store:
        key = repr(sorted(spec.items()))
        async with self._opening:
            if key not in self._stores:
                self._stores[key] = await self._stack.enter_async_context(store_of(spec, self._ask))
            return self._stores[key]
