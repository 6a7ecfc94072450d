"""Two incarnations of one REPL write at once, one held up at every call of the store in turn while the other works."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest

from runner.errors import DevexError
from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.history import History
from runner.snapshots.layout import Commit, commit_key
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.store import Listed, Store
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Workspace


class Held:
    """A store whose Nth call waits, before it is done, until it is let go."""

    def __init__(self, store: Store, number: int) -> None:
        self._store = store
        self._left = number
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def _wait(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await self.go.wait()

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        await self._wait()
        return await self._store.get(key, start, length)

    async def create(self, key: str, data: bytes) -> None:
        await self._wait()
        await self._store.create(key, data)

    async def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        await self._wait()
        async for one in self._store.list(prefix, limit):
            yield one

    async def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            await self._wait()
            await self._store.delete([key])

    async def conditional(self) -> bool:
        return True


@dataclass
class Incarnation:
    """With its own copy of the workspace, as pods have."""

    epoch: int
    root: Path
    workspace: Workspace
    history: History
    cache: Cache

    async def take(self) -> Commit:
        return await take(
            self.workspace, self.history, self.cache, Label(epoch=self.epoch, author="ada", message="")
        )  # fmt: skip

    async def collect(self) -> object:
        return await collect(self.history, self.cache, self.epoch, datetime.now(UTC), young=timedelta(0))


Job = Callable[[Incarnation], Awaitable[object]]


async def takes(writer: Incarnation) -> Commit:
    (writer.root / "mine").write_text(f"of {writer.epoch}")
    (writer.root / "again").write_bytes(FORMER)  # whose only copy in the store no version names any more
    return await writer.take()


async def collects(writer: Incarnation) -> object:
    return await writer.collect()


async def takes_and_collects(writer: Incarnation) -> Commit:
    await takes(writer)
    await writer.collect()
    (writer.root / "mine").write_text(f"more of {writer.epoch}")
    return await writer.take()


FORMER = os.urandom(5_000_000)


async def an_incarnation(stack: AsyncExitStack, store: Store, folder: Path, epoch: int) -> Incarnation:
    root = folder / f"of-{epoch}"
    root.mkdir()
    workspace = stack.enter_context(Workspace(root))
    cache = stack.enter_context(Cache(folder / f"cache-{epoch}.db"))
    return Incarnation(epoch, root, workspace, History(store, "r1"), cache)


async def a_past(older: Incarnation) -> None:
    """Versions that name little of what is stored: the one that held the rest was thinned out."""
    (older.root / "former").write_bytes(FORMER)
    for number in range(6):
        (older.root / f"f{number}").write_bytes(os.urandom(200_000))
    first = await older.take()
    (older.root / "former").unlink()
    for number in range(5):
        (older.root / f"f{number}").write_bytes(os.urandom(1_000))
    await older.take()
    await older.history.store.delete([older.history.key(commit_key(first.version))])


async def interleaved(folder: Path, held_up: Job, other: Job, *, older_is_held: bool, number: int) -> bool:
    """-> whether the job that is held up came to so many calls."""
    folder.mkdir()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(DirectoryStore(folder / "store"))
        older = await an_incarnation(stack, store, folder, 1)
        newer = await an_incarnation(stack, store, folder, 2)
        await a_past(older)
        for path in older.root.iterdir():
            (newer.root / path.name).write_bytes(path.read_bytes())
        slow, fast = (older, newer) if older_is_held else (newer, older)
        held = Held(store, number)
        slow.history = History(held, "r1")
        working = asyncio.create_task(_outcome(held_up(slow)), name="held up")
        reaching = asyncio.create_task(held.reached.wait(), name="reached")
        await asyncio.wait([working, reaching], return_when=asyncio.FIRST_COMPLETED)
        fast_outcome = await _outcome(other(fast))
        held.go.set()
        slow_outcome = await working
        reaching.cancel()
        await asyncio.wait([reaching])
        slow.history = fast.history
        context = f"{held_up.__name__} held at {number}, {other.__name__}: {slow_outcome}, {fast_outcome}"
        for outcome in (slow_outcome, fast_outcome):
            assert not isinstance(outcome, DevexError) or outcome.code in {"fenced", "taken"}, context
        for outcome in (slow_outcome, fast_outcome):
            if isinstance(outcome, Commit):
                assert outcome.version in await newer.history.versions(), context
        assert (await verify(newer.history)).problems == [], context
        (newer.root / "later").write_text("and it goes on")
        last = await _outcome(newer.take())
        if isinstance(last, DevexError):  # what is in the way is told once
            last = await newer.take()
        assert isinstance(last, Commit)
        assert last.epoch == 2
        await newer.collect()
        assert (await verify(newer.history)).problems == [], context
        before = await newer.history.versions()
        with pytest.raises(DevexError) as raised:
            await takes(older)
        assert raised.value.code == "fenced"
        assert await newer.history.versions() == before
        return held.reached.is_set()


async def _outcome(job: Awaitable[object]) -> object:
    try:
        return await job
    except DevexError as error:
        return error


@pytest.mark.parametrize("older_is_held", [True, False], ids=["the older waits", "the newer waits"])
@pytest.mark.parametrize("other", [takes, takes_and_collects])
@pytest.mark.parametrize("held_up", [takes, collects])
async def test_two_incarnations_at_once(tmp_path: Path, held_up: Job, other: Job, older_is_held: bool) -> None:
    for number in itertools.count(1):
        if not await interleaved(
            tmp_path / str(number), held_up, other, older_is_held=older_is_held, number=number
        ):  # fmt: skip
            assert number > 5
            return
