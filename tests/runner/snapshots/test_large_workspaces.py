"""As many files as a workspace may have, within the memory that any workspace may take."""

import hashlib
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.snapshots.stores.opening import StoreSpec
from tests.runner.snapshots.jobs import check_whole, run

PEAK_KIB = 130 * 1024
FILES = 100_000


def spread(root: Path) -> None:
    for number in range(FILES):
        if number % 100 == 0:
            (root / f"d{number // 100}").mkdir()
        (root / f"d{number // 100}" / f"file-{number}").write_text(f"text {number}")


def in_one_folder(root: Path) -> None:
    for number in range(FILES):
        (root / f"file-{number}").write_text(f"text {number}")


def one_large_file(root: Path) -> None:
    chance = random.Random(1)
    with open(root / "large", "wb") as file:
        for _ in range(2048):
            file.write(chance.randbytes(1 << 20))


def digests(root: Path) -> dict[str, str]:
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                path = os.path.relpath(file.name, root)
                found[path] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


@pytest.mark.soak
@pytest.mark.parametrize("fill", [spread, in_one_folder, one_large_file])
async def test_the_memory_of_every_job(spec: StoreSpec, tmp_path: Path, fill: Callable[[Path], None]) -> None:
    root, again = tmp_path / "workspace", tmp_path / "again"
    root.mkdir()
    again.mkdir()
    fill(root)
    job = {"store": spec, "workspace": str(root), "cache": str(tmp_path / "cache.db"), "epoch": 1}
    peaks: dict[str, int] = {}

    async def does(name: str, **more: object) -> None:
        begun_s = time.monotonic()
        ended = await run({**job, **more})
        assert ended is not None
        assert ended.get("notes") == [], ended
        peaks[name] = ended["peak_kib"]
        print(f"{name}: {time.monotonic() - begun_s:.1f} s, {ended['peak_kib'] >> 10} MiB")

    await does("first version", do="take")
    with next(path for path in sorted(root.rglob("*")) if path.is_file()).open("a") as file:
        file.write("changed")
    await does("one change", do="take")
    await does("restore", do="restore", workspace=str(again), cache=str(tmp_path / "again.db"))
    assert digests(again) == digests(root)
    await does("verify", do="verify")
    await does("collect", do="collect")
    assert max(peaks.values()) <= PEAK_KIB, peaks
    await check_whole(spec)


@pytest.mark.soak
async def test_long_paths_are_not_all_remembered(spec: StoreSpec, tmp_path: Path) -> None:
    """Of as many folders as a workspace may have they are half a GiB."""
    root, again = tmp_path / "workspace", tmp_path / "again"
    deep = Path(root, *["d" * 250] * 12)
    deep.mkdir(parents=True)
    again.mkdir()
    for number in range(8_000):
        (deep / f"{number}").mkdir()
        (deep / f"{number}" / "a").touch()

    async def done(**job: object) -> dict[str, Any]:
        ended = await run({"store": spec, "cache": str(tmp_path / "cache.db"), "epoch": 1, **job})
        assert ended is not None
        return ended

    full = await done(do="take", workspace=str(root))
    restored = await done(do="restore", workspace=str(again))
    shutil.rmtree(root / ("d" * 250))
    emptied = await done(do="take", workspace=str(root))
    over = {"do": "restore", "workspace": str(root), "from_head": True}
    back = await done(**over, version=full["version"])
    await done(do="take", workspace=str(root))
    gone = await done(**over, version=emptied["version"])
    assert os.listdir(root) == []
    peaks = [one["peak_kib"] >> 10 for one in (full, restored, back, gone)]
    assert max(peaks[1:]) < peaks[0] + 45, peaks  # of 10,000 files at once the paths are held
