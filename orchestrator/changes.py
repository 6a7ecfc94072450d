"""Telling whoever watches what has changed. What nobody has taken yet is merged, so that nothing piles up."""

import asyncio
from collections.abc import Callable
from typing import Generic, Self, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class Subscription(Generic[T]):
    """An async iterator, without an end, of what has changed since it was made."""

    def __init__(self, wanted: Callable[[T], bool]) -> None:
        self._wanted = wanted
        self._pending: dict[str, T] = {}
        self._changed = asyncio.Event()

    def offer(self, key: str, changed: T) -> None:
        if self._wanted(changed):
            self._pending[key] = changed
            self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._pending:
            self._changed.clear()
            await self._changed.wait()
        return self._pending.pop(next(iter(self._pending)))


class Changes(Generic[T]):
    """`key(changed)` says of what it is a change. Subscriptions that nobody holds any more disappear by themselves."""

    def __init__(self, key: Callable[[T], str]) -> None:
        self._key = key
        self._subscriptions: WeakSet[Subscription[T]] = WeakSet()

    def subscribe(self, wanted: Callable[[T], bool] = lambda changed: True) -> Subscription[T]:
        subscription = Subscription(wanted)
        self._subscriptions.add(subscription)
        return subscription

    def publish(self, changed: T) -> None:
        for subscription in list(self._subscriptions):
            subscription.offer(self._key(changed), changed)
