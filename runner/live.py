"""What is open now, by who holds it open: so that signing out, or losing a right, closes it."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable
from types import TracebackType
from typing import Generic, Self, TypeVar

from runner.errors import DevexError

Holder = TypeVar("Holder", bound=Hashable)


class Live(Generic[Holder]):
    """Who holds something open, which `end` closes."""

    def __init__(self) -> None:
        self._holds: defaultdict[Holder, set[Hold[Holder]]] = defaultdict(set)

    def hold(self, holder: Holder) -> "Hold[Holder]":
        return Hold(self._holds, holder)

    def holders(self) -> set[Holder]:
        return set(self._holds)

    def end(self, holders: Collection[Holder], why: Callable[[], DevexError]) -> None:
        """Close everything that these hold open."""
        for holder in holders:
            for hold in list(self._holds.get(holder, ())):
                hold.end(why)


class Hold(Generic[Holder]):
    """`async with`, while a response streams or a socket is open. Raises what `end` was given if that cancelled it."""

    def __init__(self, holds: "defaultdict[Holder, set[Hold[Holder]]]", holder: Holder) -> None:
        self._holds = holds
        self._holder = holder
        self._why: Callable[[], DevexError] | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def end(self, why: Callable[[], DevexError]) -> None:
        if self._task is not None and self._why is None:
            self._why = why
            self._task.cancel()

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        self._holds[self._holder].add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holds[self._holder].discard(self)
        if not self._holds[self._holder]:
            del self._holds[self._holder]
        task, self._task = self._task, None
        if self._why is not None and task is not None:
            others = task.uncancel() > self._cancelling  # somebody else cancelled as well: theirs goes on
            if kind is asyncio.CancelledError and not others:
                raise self._why() from error
