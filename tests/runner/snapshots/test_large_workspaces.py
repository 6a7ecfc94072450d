"""As many files as a workspace may have, within the memory that any workspace may take."""

import hashlib
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

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
    next(path for path in sorted(root.rglob("*")) if path.is_file()).write_text("changed")
    await does("one change", do="take")
    await does("restore", do="restore", workspace=str(again), cache=str(tmp_path / "again.db"))
    assert digests(again) == digests(root)
    await does("verify", do="verify")
    await does("collect", do="collect")
    assert max(peaks.values()) <= PEAK_KIB, peaks
    await check_whole(spec)
