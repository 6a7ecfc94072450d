"""A REPL's versions from one store to another: each object checked by its digest, commits last, again where cut off."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from runner.snapshots import layout
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged
from runner.snapshots.stores.store import Missing, StoreError, Taken

AT_ONCE: Final = 3  # objects held at a time: packs of some MiB
ROUNDS: Final = 5  # what is thinned out meanwhile moves objects: then it is looked again

Tell = Callable[[int, int], None]
"""Called after every few objects with how many are done, and of how many."""


@dataclass
class Copied:
    """`objects` and `bytes` are what was copied; `problems` one sentence each of what was not."""

    objects: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


async def names_of(history: History) -> list[str]:
    """What is to be copied, in this order: commits, listed first, come last, the oldest before the newer."""
    commits = [found.key for found in await history.objects("c/")]
    others = [found.key for kind in ("p/", "t/", "i/", "n/") for found in await history.objects(kind)]
    return [key.removeprefix(f"{history.prefix}/") for key in (*others, *reversed(commits))]


async def copy(source: History, target: History, tell: Tell = lambda done, of: None) -> Copied:
    """Also beside the source's writer; whatever cuts it off leaves whole versions. Raises StoreError.

    What is damaged is left out and told.
    """
    copied = Copied()
    for _ in range(ROUNDS):
        copied.problems.clear()
        if await _Round(source, target, copied, tell).run():
            return copied
    copied.problems.append("It kept changing while it was copied.")
    return copied


class _Round:
    def __init__(self, source: History, target: History, copied: Copied, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._copied = copied
        self._tell = tell
        self._moved = False

    async def run(self) -> bool:
        """-> whether nothing vanished meanwhile."""
        names = await names_of(self._source)
        there = [found async for found in self._target.store.list(self._target.key(""))]
        copied = {found.key.removeprefix(f"{self._target.prefix}/") for found in there}
        taken_back = {name for name in copied if name.startswith("n/")} - set(names)
        await self._target.store.delete([self._target.key(name) for name in taken_back])
        for at in range(0, len(names), AT_ONCE):
            batch = names[at : at + AT_ONCE]
            wanted = [name for name in batch if name not in copied]
            for failed in await asyncio.gather(*map(self._one, wanted), return_exceptions=True):
                if failed is not None:
                    raise failed
            self._tell(at + len(batch), len(names))
        return not self._moved

    async def _one(self, name: str) -> None:
        try:
            data = await self._source.store.get(self._source.key(name))
            await asyncio.to_thread(layout.check_object, name, data)
        except Missing:
            self._moved = True
            return
        except Damaged as error:
            self._copied.problems.append(error.message)
            return
        try:
            await self._target.store.create(self._target.key(name), data)
        except Taken:
            self._copied.problems.append(f"There is another “{name}” already.")
            return
        if await self._target.store.get(self._target.key(name)) != data:
            raise StoreError("What is written to the store is not what is found in it.", retryable=False)
        self._copied.objects += 1
        self._copied.bytes += len(data)
