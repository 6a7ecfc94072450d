"""A REPL's versions from a folder to S3 and back; what a cut leaves, and what is damaged on the way."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.copying import copy
from runner.snapshots.history import History
from runner.snapshots.layout import Name
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.store import StoreError
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Workspace
from tests.between import Between, answers, passes
from tests.stores import Server

ONCE = Patience(attempts=1)
NAME = Name(name="the first", author="ada", at="2026-01-01T00:00:00+00:00")


async def objects(history: History) -> dict[str, bytes]:
    listed = [found.key async for found in history.store.list(history.key(""))]
    return {key.removeprefix(f"{history.prefix}/"): await history.store.get(key) for key in listed}


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[History]:
    """Three versions, the first with a name."""
    root = tmp_path / "workspace"
    root.mkdir()
    async with AsyncExitStack() as stack:
        history = History(await stack.enter_async_context(DirectoryStore(tmp_path / "store")), "r1")
        workspace = stack.enter_context(Workspace(root))
        cache = stack.enter_context(Cache(tmp_path / "cache.db"))
        for number in range(3):
            (root / f"file-{number}").write_bytes(bytes([number]) * 100_000)
            (root / f"folder-{number}").mkdir()
            await take(workspace, history, cache, Label(epoch=1, author="ada", message="test"))
        await history.set_name("1-1", NAME)
        yield history


async def test_to_s3_and_back(source: History, tmp_path: Path, moto_server: Server) -> None:
    was = await objects(source)
    told: list[tuple[int, int]] = []
    async with S3Store(moto_server.config()) as there, DirectoryStore(tmp_path / "back") as back:
        copied = await copy(source, History(there, "r1"), lambda done, of: told.append((done, of)))
        assert (copied.objects, copied.bytes, copied.problems) == (len(was), sum(map(len, was.values())), [])
        assert told[-1] == (len(was), len(was))
        assert (await copy(History(there, "r1"), History(back, "r1"))).objects == len(was)
        assert await objects(History(back, "r1")) == was
        assert (await copy(source, History(there, "r1"))).objects == 0


async def test_names_follow(source: History, tmp_path: Path) -> None:
    async with DirectoryStore(tmp_path / "other") as other:
        target = History(other, "r1")
        await copy(source, target)
        await source.set_name("1-1", None)
        await source.set_name("1-2", NAME)
        await copy(source, target)
        assert set(await target.names()) == {"1-2"}
        await source.set_name("1-2", Name(name="another", author="eve", at=NAME.at))
        assert (await copy(source, target)).objects == 1
        assert await target.names() == await source.names()


async def test_a_cut_leaves_whole_versions(source: History, moto_server: Server) -> None:
    was = await objects(source)
    async with Between(moto_server.url) as between:
        config = moto_server.config(endpoint_url=between.url)
        async with S3Store(config, ONCE) as there, S3Store(moto_server.config(prefix=config.prefix)) as direct:
            target, looked_at = History(there, "r1"), History(direct, "r1")
            cuts = 0
            while not await copied_within(5, between, source, target):
                cuts += 1
                assert (await verify(looked_at)).problems == []
            assert cuts >= 3
        assert await objects_of(moto_server, config.prefix) == was


async def copied_within(requests: int, between: Between, source: History, target: History) -> bool:
    between.will(*[passes] * requests, *[answers(403, "AccessDenied")] * 100)
    try:
        assert (await copy(source, target)).problems == []
    except StoreError:
        return False
    return True


async def objects_of(server: Server, prefix: str) -> dict[str, bytes]:
    async with S3Store(server.config(prefix=prefix)) as store:
        return await objects(History(store, "r1"))


async def test_what_is_damaged_is_left_out_and_told(source: History, tmp_path: Path) -> None:
    pack = sorted((tmp_path / "store" / "r1" / "p").iterdir())[0]
    pack.write_bytes(b"something else")
    async with DirectoryStore(tmp_path / "other") as other:
        copied = await copy(source, History(other, "r1"))
        assert copied.problems == [f"The store's object “p/{pack.name}” is damaged."]
        assert len(await objects(History(other, "r1"))) == len(await objects(source)) - 1


async def test_what_is_thinned_out_meanwhile_is_looked_for_again(source: History, tmp_path: Path) -> None:
    """A month later, between the list and the first object."""
    later = datetime.now(UTC) + timedelta(days=40)
    done = False

    class Thinning(DirectoryStore):
        async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
            nonlocal done
            if not done:
                done = True
                with Cache(tmp_path / "another.db") as cache:
                    await collect(source, cache, 1, later, young=timedelta(0))
            return await super().get(key, start, length)

    async with Thinning(tmp_path / "store") as store, DirectoryStore(tmp_path / "other") as other:
        await source.set_name("1-1", None)
        target = History(other, "r1")
        assert (await copy(History(store, "r1"), target)).problems == []
        assert (await verify(target)).problems == []
        assert await target.head() == await source.head()
