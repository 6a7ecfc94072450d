"""Telling whoever watches that a Repl changed."""

import asyncio
from collections.abc import Callable
from typing import Self
from weakref import WeakSet

from orchestrator.domain import Repl


class Subscription:
    """An async iterator of changed Repls, from when it is made; changes not taken yet are merged per Repl."""

    def __init__(self, wanted: Callable[[Repl], bool]) -> None:
        self._wanted = wanted
        self._pending: dict[str, Repl] = {}
        self._changed = asyncio.Event()

    def offer(self, repl: Repl) -> None:
        if self._wanted(repl):
            self._pending.pop(repl.id, None)
            self._pending[repl.id] = repl
            self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Repl:
        while not self._pending:
            self._changed.clear()
            await self._changed.wait()
        return self._pending.pop(next(iter(self._pending)))


class Changes:
    """Subscriptions that nobody holds any more disappear by themselves."""

    def __init__(self) -> None:
        self._subscriptions: WeakSet[Subscription] = WeakSet()

    def subscribe(self, wanted: Callable[[Repl], bool]) -> Subscription:
        subscription = Subscription(wanted)
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, repl: Repl) -> None:
        for subscription in list(self._subscriptions):
            subscription.offer(repl)
