"""What every Store promises. Subclass, and give an async fixture `store`: an empty one, open."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest

from runner.snapshots.stores.store import LARGEST_BYTES, Missing, Store, Taken

PACK = os.urandom(5 << 20)
NO_KEYS = ("", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.b", ".drafts/a", "A", "a b", "a\0", "ä", "a\n")


async def keys(store: Store, prefix: str = "", limit: int | None = None) -> list[str]:
    return [listed.key async for listed in store.list(prefix, limit)]


class StoreContract:
    is_conditional: ClassVar[bool] = True

    @pytest.mark.parametrize("data", [b"", b"\0", PACK], ids=["empty", "byte", "pack"])
    async def test_what_was_created_is_read(self, store: Store, data: bytes) -> None:
        await store.create("repl/p/0f", data)
        assert await store.get("repl/p/0f") == data

    async def test_ranges(self, store: Store) -> None:
        await store.create("p/1", b"0123456789")
        assert await store.get("p/1", 0, 1) == b"0"
        assert await store.get("p/1", 3, 4) == b"3456"
        assert await store.get("p/1", 7) == b"789"
        assert await store.get("p/1", 8, 100) == b"89"
        assert await store.get("p/1", 10, 5) == b""
        assert await store.get("p/1", 11) == b""
        await store.create("p/0", b"")
        assert await store.get("p/0", 0, 5) == b""

    async def test_what_is_not_there(self, store: Store) -> None:
        await store.create("p/1", b"1")
        for key in ("p/2", "p", "q/1", "p/1/1"):
            with pytest.raises(Missing) as told:
                await store.get(key)
            assert key in told.value.message
            with pytest.raises(Missing):
                await store.get(key, 3, 4)

    async def test_creating_again(self, store: Store) -> None:
        """With the same data it is no error; with other data the first stays, where the store can tell."""
        await store.create("c/1", b"first")
        await store.create("c/1", b"first")
        if self.is_conditional:
            for other in (b"", b"firs", b"first ", b"other"):
                with pytest.raises(Taken):
                    await store.create("c/1", other)
            assert await store.get("c/1") == b"first"
        else:
            await store.create("c/1", b"second")
            assert await store.get("c/1") == b"second"

    async def test_it_knows_whether_it_can_tell(self, store: Store) -> None:
        assert await store.conditional() is self.is_conditional
        assert await store.conditional() is self.is_conditional
        assert await keys(store) == []

    async def test_of_writers_at_once_one_wins(self, store: Store) -> None:
        """Without conditions not even one: rclone mixes the bytes of two. Digests tell; no two are given one key."""
        written = [bytes([number]) * 100_000 for number in range(8)]
        results = await asyncio.gather(*(store.create("c/1", data) for data in written), return_exceptions=True)
        won = [data for data, result in zip(written, results, strict=True) if result is None]
        assert all(result is None or isinstance(result, Taken) for result in results), results
        if self.is_conditional:
            assert [await store.get("c/1")] == won
        else:
            assert won == written

    async def test_equal_writers_at_once_all_succeed(self, store: Store) -> None:
        await asyncio.gather(*(store.create("p/1", PACK[:100_000]) for _ in range(8)))
        assert await store.get("p/1") == PACK[:100_000]

    async def test_listing(self, store: Store) -> None:
        before = datetime.now(UTC)
        created = ["a-b/1", "a/b", "a/c-1", "a/c/1", "a/c/10", "a/c/9", "a0", "b/1"]
        await asyncio.gather(*(store.create(key, key.encode() * 2) for key in reversed(created)))
        listed = [one async for one in store.list("")]
        assert [one.key for one in listed] == created == sorted(created)
        assert [one.size_bytes for one in listed] == [len(key) * 2 for key in created]
        for one in listed:
            assert abs(one.modified_at - before) < timedelta(minutes=2)
        assert await keys(store, "a/") == created[1:6]
        assert await keys(store, "a/c") == created[2:6]
        assert await keys(store, "a/c/1") == ["a/c/1", "a/c/10"]
        assert await keys(store, "a/b") == ["a/b"]
        assert await keys(store, "a/b/") == []
        assert await keys(store, "z") == []
        assert await keys(store, "", 1) == ["a-b/1"]
        assert await keys(store, "a/c/", 2) == ["a/c/1", "a/c/10"]
        assert await keys(store, "a/c/", 99) == created[3:6]

    async def test_deleting(self, store: Store) -> None:
        await store.delete([])
        await store.delete(["p/1", "q/1"])
        for key in ("c/1", "c/2", "p/a/1"):
            await store.create(key, b"1")
        await store.delete(["c/2", "c/3", "p/a/1"])
        assert await keys(store) == ["c/1"]
        with pytest.raises(Missing):
            await store.get("c/2")
        await store.create("c/2", b"again")
        assert await store.get("c/2") == b"again"

    async def test_names_that_are_no_keys(self, store: Store) -> None:
        """Nothing of them reaches the store."""
        for name in NO_KEYS:
            for call in (store.get(name), store.create(name, b""), store.delete(["a", name])):
                with pytest.raises(ValueError, match="not a key"):
                    await call
        assert await keys(store) == []

    async def test_what_is_no_range_or_too_large(self, store: Store) -> None:
        for start, length in ((-1, None), (0, 0), (1, -1)):
            with pytest.raises(ValueError, match="not a range"):
                await store.get("p/1", start, length)
        with pytest.raises(ValueError, match="object of"):
            await store.create("p/1", bytes(LARGEST_BYTES + 1))

    async def test_many_at_once(self, store: Store) -> None:
        objects = {f"p/{number}": bytes([number]) * 10_000 * (number % 5) for number in range(30)}
        await asyncio.gather(*(store.create(key, data) for key, data in objects.items()))
        assert await asyncio.gather(*(store.get(key) for key in objects)) == list(objects.values())
        await asyncio.gather(*(store.delete([key]) for key in objects))
        assert await keys(store) == []

    async def test_a_writer_that_is_cancelled(self, store: Store) -> None:
        """It wrote all or nothing, and the store goes on."""
        writing = asyncio.create_task(store.create("p/1", PACK))
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await store.create("p/1", PACK)
        assert await store.get("p/1") == PACK
