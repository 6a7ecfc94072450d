"""Versions that cannot be taken to their end: an upload fails or is given up meanwhile, or nothing can be opened."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from resource import RLIMIT_NOFILE, getrlimit, setrlimit
from threading import Event, Thread
from typing import Self

import pytest

from runner.errors import DevexError
from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import Commit
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.store import Listed, Store, StoreError
from runner.snapshots.take import Label, take
from runner.snapshots.uploads import BATCH_BYTES, IN_FLIGHT, Uploads
from runner.snapshots.verify import verify
from runner.workspace import Workspace
from tests.runner.snapshots.jobs import picture

PACKS = 8  # many more than are on their way at once: the reading waits for them
DEADLINE_S = 60.0
FULL = "full"


class Stubborn:
    """A store that takes so many objects. What follows waits, and fails when so many wait: 0 means never."""

    def __init__(self, store: Store, takes: int, fails_at: int) -> None:
        self.waits = asyncio.Event()
        self._store = store
        self._takes = takes
        self._fails_at = fails_at
        self._fails = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        return await self._store.get(key, start, length)

    async def create(self, key: str, data: bytes) -> None:
        self._takes -= 1
        if self._takes < 0:
            self.waits.set()
            if -self._takes == self._fails_at:
                self._fails.set()
            await self._fails.wait()
            raise StoreError(FULL, retryable=True)
        await self._store.create(key, data)

    def list(self, prefix: str, limit: int | None = None) -> AsyncIterator[Listed]:
        return self._store.list(prefix, limit)

    async def delete(self, keys: Sequence[str]) -> None:
        await self._store.delete(keys)

    async def conditional(self) -> bool:
        return True


@dataclass
class Place:
    root: Path
    again: Path
    store: Store
    cache: Cache
    workspace: Workspace

    async def take(self, store: Store | None = None) -> Commit:
        history = History(store or self.store, "r1")
        return await take(self.workspace, history, self.cache, Label(epoch=1, author="ada", message=""))

    async def check(self) -> None:
        """The next try succeeds."""
        history = History(self.store, "r1")
        taken = await self.take()
        assert taken.notes == ()
        assert (await verify(history)).problems == []
        self.again.mkdir()
        with Workspace(self.again) as workspace:
            assert (await restore(workspace, await history.open(taken.version), None)).notes == []
        assert picture(self.again) == picture(self.root)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    root = tmp_path / "workspace"
    root.mkdir()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(DirectoryStore(tmp_path / "store"))
        cache = stack.enter_context(Cache(tmp_path / "cache.db"))
        workspace = stack.enter_context(Workspace(root))
        yield Place(root, tmp_path / "again", store, cache, workspace)


def fill(root: Path) -> None:
    for number in range(PACKS):
        (root / f"f{number}").write_bytes(os.urandom(BATCH_BYTES))


@pytest.mark.parametrize("fails_at", range(1, IN_FLIGHT + 1))
@pytest.mark.parametrize("takes", [0, 1, 2, PACKS - 1, PACKS, PACKS + 1])
async def test_an_upload_that_fails_ends_the_reading(place: Place, takes: int, fails_at: int) -> None:
    """Whether it waits for room, or for the last ones. Behind the packs the tree and the index come alone."""
    fill(place.root)
    stubborn = Stubborn(place.store, takes, 1 if takes >= PACKS else fails_at)
    async with asyncio.timeout(DEADLINE_S):
        with pytest.raises(StoreError, match=FULL):
            await place.take(stubborn)
    await place.check()


async def test_a_pack_that_comes_too_late_keeps_nobody_waiting(place: Place) -> None:
    """It was on its way to the event loop when something else went wrong."""
    uploads = Uploads(History(place.store, "r1"), place.cache, asyncio.get_running_loop())
    uploads.add("p", "0" * 40, bytes(BATCH_BYTES))
    await uploads.settle()
    ended = Event()

    def finish() -> None:
        with suppress(asyncio.CancelledError):
            uploads.finish()
        ended.set()

    Thread(target=finish, daemon=True).start()  # one that waits for ever must not keep the tests from ending
    assert await asyncio.to_thread(ended.wait, DEADLINE_S)
    assert [one async for one in place.store.list("r1/")] == []


@pytest.mark.parametrize("takes", [0, 1, 2, PACKS - 1, PACKS, PACKS + 1])
async def test_who_gives_up_waits_for_no_upload(place: Place, takes: int) -> None:
    fill(place.root)
    stubborn = Stubborn(place.store, takes, 0)
    taking = asyncio.create_task(place.take(stubborn))
    async with asyncio.timeout(DEADLINE_S):
        await stubborn.waits.wait()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
    await place.check()


@contextmanager
def few_descriptors(free: int) -> Iterator[None]:
    """For the whole process."""
    before = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + free, before[1]))
    held: list[int] = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(free):
            os.close(held.pop())
        yield
    finally:
        setrlimit(RLIMIT_NOFILE, before)
        for descriptor in held:
            os.close(descriptor)


async def outcome(place: Place) -> Commit | DevexError:
    try:
        return await place.take()
    except DevexError as error:
        return error


async def test_without_descriptors_there_is_no_version_rather_than_a_part_of_one(place: Place) -> None:
    """In whatever moment there is none left: while folders, files, links or patterns are read, or the store writes."""
    folder = place.root
    for number in range(8):
        folder = folder / f"d{number}"
        folder.mkdir()
        (folder / "file").write_text(f"in {number}")
        (folder / "link").symlink_to("file")
    (place.root / "node_modules").mkdir()
    (place.root / "node_modules" / "wanted").write_text("by a pattern")
    (place.root / ".devexignore").write_text("!node_modules/\n")
    history = History(place.store, "r1")
    refused = 0
    for free in range(40):
        (place.root / "changed").write_text(f"with {free} descriptors")
        with few_descriptors(free):
            taken = await outcome(place)
        if isinstance(taken, DevexError):
            assert (taken.retryable, taken.code in {"overloaded", "store"}) == (True, True), taken
            assert "oo many" in taken.message
            refused += 1
            continue
        assert taken.notes == ()
        assert taken.files == 8 + 3
    assert 8 < refused < 40
    assert (await verify(history)).problems == []
    await place.check()
