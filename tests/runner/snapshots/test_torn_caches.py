"""Caches of which a part was cut off, overwritten or exchanged: whatever they say, a version is what is there."""

import asyncio
import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from runner.snapshots.cache import discard
from runner.snapshots.scan import RACY_NS
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.jobs import picture
from tests.runner.snapshots.shelf import a_shelf

PAGE_BYTES = 4096
TEARS = 20
NONSENSE = [
    "UPDATE head SET data = x'00'",
    "UPDATE head SET data = 7",
    "UPDATE head SET version = NULL",
    "UPDATE part SET digest = '" + "0" * 40 + "'",
    "UPDATE part SET digest = CAST(x'ff' AS TEXT)",
    "UPDATE file SET chunks = 7",
    "UPDATE file SET chunks = NULL, stamp = 3",
    "UPDATE file SET chunks = x'00'",
    "INSERT INTO pending SELECT 7, pack, offset, stored, size, 1e12 FROM blob LIMIT 1",
    "INSERT INTO pending SELECT digest, 7, 'x', NULL, size, strftime('%s') - 1 FROM blob LIMIT 1",
    "INSERT INTO pending SELECT x'00', 'p/none', 0, 1, 1, strftime('%s') - 1 FROM blob LIMIT 1",
    "UPDATE store SET name = 3",
    "DROP TABLE blob",
]


class Place:
    def __init__(self, workers: Workers, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.root, self.cache = folder / "workspace", folder / "cache.db"
        self._workers = workers
        self._folder = folder
        self.snapshots = Snapshots(workers, a_shelf(folder))
        for number in range(400):
            (self.root / f"f{number}").write_text(f"text {number}")

    async def take_until_files_are_known(self) -> None:
        """Not at once: what was written a moment ago may be written again within a tick of the clock."""
        oldest_ns = min(path.stat().st_ctime_ns for path in self.root.iterdir())
        while time.time_ns() <= oldest_ns + RACY_NS:
            await asyncio.sleep(0.05)
        await self.snapshots.take("ada", "")
        with closing(sqlite3.connect(self.cache)) as db:
            assert db.execute("SELECT count(*) FROM file").fetchone()[0]

    async def check(self, number: int) -> None:
        """With a change more, a version is what is there; and the next one finds a good cache again."""
        (self.root / "changed").write_text(f"{number}")
        (self.root / f"f{number}").write_text(f"changed {number}")
        taken = await self.snapshots.take("ada", "")
        assert (await self.snapshots.take("ada", ""))["version"] == taken["version"]
        again = Snapshots(self._workers, a_shelf(self._folder, f"again{number}", "no.db"))
        assert (await again.restore(taken["version"], "", "ada", empty=True))["notes"] == []
        assert picture(self._folder / f"again{number}") == picture(self.root)
        assert (await self.snapshots.verify())["problems"] == []


async def test_rows_that_nobody_wrote(workers: Workers, tmp_path: Path) -> None:
    places = [Place(workers, tmp_path / str(number)) for number in range(len(NONSENSE))]
    for place, statement in zip(places, NONSENSE, strict=True):
        await place.snapshots.take("ada", "")
        await place.take_until_files_are_known()
        with closing(sqlite3.connect(place.cache)) as db, db:
            db.execute(statement)
        await place.check(1)


async def test_pages_that_are_torn(workers: Workers, tmp_path: Path) -> None:
    place = Place(workers, tmp_path)
    for number in range(TEARS):
        await place.snapshots.take("ada", "")
        await place.take_until_files_are_known()
        torn = _torn(place.cache.read_bytes(), random.Random(number))
        discard(place.cache)
        place.cache.write_bytes(torn)
        await place.check(number)


def _torn(whole: bytes, chance: random.Random) -> bytes:
    pages = [whole[at : at + PAGE_BYTES] for at in range(0, len(whole), PAGE_BYTES)]
    for _ in range(chance.randrange(1, 5)):
        number = chance.randrange(len(pages))
        match chance.randrange(4):
            case 0:
                pages[number] = bytes(PAGE_BYTES)
            case 1:
                pages[number] = chance.randbytes(PAGE_BYTES)
            case 2:
                pages[number] = chance.choice(pages)
            case 3:
                return b"".join(pages)[: chance.randrange(len(whole))]
    return b"".join(pages)
