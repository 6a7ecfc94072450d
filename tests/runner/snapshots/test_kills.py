"""Killed with -9 at any call of the store and at any moment: what was acknowledged is whole, the rest is no harm."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.snapshots.stores.opening import StoreSpec
from tests.runner.snapshots.jobs import Run, check_nothing_is_left_over, check_whole, newest, picture, running_in_forks

Specs = Callable[[], StoreSpec]


def change(root: Path, chance: random.Random) -> None:
    """Some files written, some removed; several packs' worth in all."""
    for _ in range(chance.randrange(20, 60)):
        path = root / f"d{chance.randrange(7)}" / f"f{chance.randrange(60)}"
        path.parent.mkdir(exist_ok=True)
        if path.exists() and chance.random() < 0.2:
            path.unlink()
        else:
            path.write_bytes(chance.randbytes(chance.randrange(120_000)))
    (root / "large").write_bytes(chance.randbytes(9_000_000))


async def kill_and_check(run: Run, spec: StoreSpec, folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    root, again, cache = folder / "workspace", folder / "again", str(folder / "cache.db")
    root.mkdir()
    base = {"store": spec, "workspace": str(root), "cache": cache, "epoch": 1}
    killed = 0
    for number in range(kills):
        change(root, chance)
        do = ("take", "restore", "collect")[number % 3]
        if do != "take":
            before = await run({**base, "do": "take"})
            assert before is not None
        job = {**base, "do": do}
        if do == "restore":
            shutil.rmtree(again, ignore_errors=True)
            again.mkdir()
            job |= {"workspace": str(again), "cache": f"{cache}-again"}
        if chance.random() < 0.6:
            ended = await run({**job, "kill": [chance.randrange(1, 16), chance.choice(["before", "after"])]})
        else:
            ended = await run(job, kill_after_s=chance.random() * 0.4)
        killed += ended is None
        acknowledged = await check_whole(spec)
        if do != "take":
            assert acknowledged, "what was acknowledged is there"
        if do == "restore":  # goes on where it was cut off
            assert ((await run(job)) or {})["notes"] == []
            assert picture(again) == picture(root)
        taken = await run({**base, "do": "take"})
        assert taken is not None
        assert await newest(spec) == taken["version"]
    assert killed > kills / 4
    assert await run({**base, "do": "collect"}) is not None
    await check_nothing_is_left_over(spec)
    await check_whole(spec)
    shutil.rmtree(again, ignore_errors=True)
    again.mkdir()
    ended = await run({**base, "do": "restore", "workspace": str(again), "cache": f"{cache}-again"})
    assert ended is not None
    assert ended["notes"] == []
    assert picture(again) == picture(root)


async def test_kill_9_at_any_call_and_any_moment(spec: StoreSpec, tmp_path: Path) -> None:
    async with running_in_forks() as run:
        await kill_and_check(run, spec, tmp_path, 13 if "directory" in spec else 7, 3)  # S3 takes longer


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))  # short histories: every check reads all of one again
async def test_kill_9_two_hundred_times(spec: StoreSpec, tmp_path: Path, seed: int) -> None:
    async with running_in_forks() as run:
        await kill_and_check(run, spec, tmp_path, 10, seed)
