"""Telling watchers of a backend which sandboxes changed, whatever the backend."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self
from weakref import WeakSet


class _Watch:
    """Ids told since it was made, each once however often it was told: bounded by the number of Repls."""

    def __init__(self) -> None:
        self._pending: dict[str, None] = {}
        self._changed = asyncio.Event()

    def tell(self, repl_id: str) -> None:
        self._pending[repl_id] = None
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        while not self._pending:
            self._changed.clear()
            await self._changed.wait()
        repl_id = next(iter(self._pending))
        del self._pending[repl_id]
        return repl_id


class Watchers:
    """`watch` is `Backend.watch`. A watch that nobody holds any more disappears by itself."""

    def __init__(self) -> None:
        self._watches: WeakSet[_Watch] = WeakSet()

    def watch(self) -> AsyncIterator[str]:
        watch = _Watch()
        self._watches.add(watch)
        return watch

    def tell(self, repl_id: str) -> None:
        for watch in list(self._watches):
            watch.tell(repl_id)
