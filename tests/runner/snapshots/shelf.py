"""A workspace, its cache and the store of its versions, side by side in a folder, as a worker is told of them."""

import random
from pathlib import Path

from runner.snapshots.snapshots import Shelf
from runner.snapshots.stores.opening import spec_of
from runner.workspace import Usage


def a_shelf(folder: Path, workspace: str = "workspace", cache: str = "cache.db", epoch: int = 1) -> Shelf:
    (folder / workspace).mkdir(exist_ok=True)
    return Shelf(
        store=spec_of(folder / "store"), prefix="r1", workspace=folder / workspace, owner=None,
        limit=Usage(1 << 40, 1 << 20), cache=folder / cache, epoch=epoch,
    )  # fmt: skip


def fill(root: Path, seed: int, files: int) -> None:
    chance = random.Random(seed)
    for number in range(files):
        path = root / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(60_000)))
