"""Work that is done so many at a time: nobody's hundred wishes stand before another's first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class FairSemaphore:
    """A semaphore of `most`, of which one owner (a person, a REPL) holds `of_one` at most. Further requests of theirs
    wait for their own before they queue for everybody's.
    """

    def __init__(self, most: int, of_one: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._of_one = of_one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def acquire(self, whose: str) -> AsyncIterator[None]:
        """`async with`: held inside."""
        own = self._own.setdefault(whose, asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield
