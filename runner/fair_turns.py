"""Work that is done so many at a time: nobody's hundred wishes stand before another's first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary


class FairTurns:
    """`most` at a time, `of_one` so many: who asks for a hundred things at once waits for them, others do not. As each
    stands in line with `of_one` of them, another waits for no more than that of everybody who was there before.
    """

    def __init__(self, most: int, of_one: int) -> None:
        self._all = asyncio.Semaphore(most)
        self._of_one = of_one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def turn(self, whose: str) -> AsyncIterator[None]:
        own = self._own.setdefault(whose, asyncio.Semaphore(self._of_one))
        async with own, self._all:
            yield
