"""Stores that refuse, hang, cut and garble while versions are taken, restored and thinned out: a sentence that is true,
nothing acknowledged that is not there, and success when the store is well again."""

import os
import random
import shutil
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from runner.errors import DevexError
from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.history import History
from runner.snapshots.layout import Commit
from runner.snapshots.restore import restore
from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.store import StoreError
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Workspace
from tests.between import (
    Between,
    Fault,
    answers,
    cuts,
    drops,
    garbles,
    hangs,
    hangs_in_the_body,
    loses_the_answer,
    passes,
)
from tests.runner.snapshots.jobs import picture
from tests.stores import Server

FEW = Patience(attempts=2, connect_s=5, silence_s=2.0, first_pause_s=0.01, longest_pause_s=0.02)
T = TypeVar("T")
LONG = 200  # requests: longer than any of the jobs here
UNREACHABLE = "The store cannot be reached, or the connection to it broke."
LASTING: dict[str, tuple[Fault, str]] = {
    "500": (answers(500, "InternalError"), "The store is overloaded or broken for now (500 InternalError)."),
    "503": (answers(503, "SlowDown"), "The store is overloaded or broken for now (503 SlowDown)."),
    "403": (answers(403, "AccessDenied"), "The store forbids this (403 AccessDenied)."),
    "hanging": (hangs, UNREACHABLE),
    "dropped": (drops, UNREACHABLE),
    "truncated": (cuts, UNREACHABLE),
    "clock": (
        answers(403, "RequestTimeTooSkewed", late=timedelta(minutes=42)),
        "The store refuses what this machine sends because their clocks differ by 42 minutes.",
    ),
}
PASSING = [answers(503, "SlowDown"), answers(500, "InternalError"), drops, loses_the_answer, cuts, hangs_in_the_body]


@dataclass
class Place:
    root: Path
    again: Path
    history: History
    cache: Cache
    workspace: Workspace
    between: Between

    async def take(self) -> Commit:
        return await take(self.workspace, self.history, self.cache, Label(epoch=1, author="ada", message=""))

    async def restore_again(self) -> None:
        version = await self.history.open(await self.history.head() or "")
        with Workspace(self.again) as workspace:
            assert (await restore(workspace, version, None)).notes == []

    async def collect(self) -> None:
        now = datetime.now(UTC) + timedelta(days=60)
        await collect(self.history, self.cache, 1, now, young=timedelta(0))

    def change(self, chance: random.Random) -> None:
        (self.root / "large").write_bytes(chance.randbytes(9_000_000))
        for number in range(20):
            (self.root / f"f{number}").write_bytes(chance.randbytes(1000))

    async def check(self) -> None:
        """With the store well again."""
        self.between.will()
        taken = await self.take()
        assert await self.history.head() == taken.version
        assert (await verify(self.history)).problems == []
        shutil.rmtree(self.again)
        self.again.mkdir()
        await self.restore_again()
        assert picture(self.again) == picture(self.root)


@asynccontextmanager
async def a_place(moto_server: Server, tmp_path: Path, patience: Patience) -> AsyncIterator[Place]:
    root, again = tmp_path / "workspace", tmp_path / "again"
    root.mkdir()
    again.mkdir()
    async with AsyncExitStack() as stack:
        between = await stack.enter_async_context(Between(moto_server.url))
        store = await stack.enter_async_context(S3Store(moto_server.config(endpoint_url=between.url), patience))
        cache = stack.enter_context(Cache(tmp_path / "cache.db"))
        workspace = stack.enter_context(Workspace(root))
        yield Place(root, again, History(store, "r1"), cache, workspace, between)


@pytest.fixture
async def place(moto_server: Server, tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(moto_server, tmp_path, FEW) as place:
        yield place


@pytest.fixture
async def patient(moto_server: Server, tmp_path: Path) -> AsyncIterator[Place]:
    """For several faults in a row: requests are made side by side, and one may meet those of others."""
    async with a_place(moto_server, tmp_path, replace(FEW, attempts=6)) as place:
        yield place


async def outcome(job: Awaitable[T]) -> T | DevexError:
    try:
        return await job
    except DevexError as error:
        return error


@pytest.mark.parametrize("name", LASTING)
async def test_a_store_that_fails_from_some_request_on(place: Place, name: str) -> None:
    fault, message = LASTING[name]
    chance = random.Random(name)
    place.change(chance)
    first = await place.take()
    for job in (place.take, place.restore_again, place.collect):
        for begin in (0, chance.randrange(1, 8)):
            place.change(chance)
            place.between.will(*[passes] * begin, *[fault] * LONG)
            done = await outcome(job())
            requests = len(place.between.seen)
            place.between.will()
            if isinstance(done, DevexError):
                assert isinstance(done, StoreError)
                assert done.message == message
            else:  # it was through before
                assert requests <= begin
                assert done is None or done.version == await place.history.head()
            assert (await verify(place.history)).problems == []
            if job == place.take:
                assert first.version in await place.history.versions()
    await place.check()


async def test_faults_that_pass_are_not_noticed(patient: Place) -> None:
    place = patient
    chance = random.Random(5)
    for _ in range(4):
        place.change(chance)
        place.between.will(*[fault for one in chance.sample(PASSING, len(PASSING)) for fault in (one, passes, passes)])
        taken = await place.take()
        place.between.will(*[fault for one in chance.sample(PASSING, len(PASSING)) for fault in (one, passes, passes)])
        shutil.rmtree(place.again)
        place.again.mkdir()
        await place.restore_again()
        assert picture(place.again) == picture(place.root)
        assert await place.history.head() == taken.version
    await place.check()


async def test_wrong_bytes_are_never_restored_nor_believed(place: Place) -> None:
    """Wherever in the reading they come."""
    chance = random.Random(6)
    place.change(chance)
    await place.take()
    place.between.will()
    await place.restore_again()
    requests = len(place.between.seen)
    assert requests > 5
    for number in range(requests):
        shutil.rmtree(place.again)
        place.again.mkdir()
        place.between.will(*[passes] * number, garbles)
        done = await outcome(place.restore_again())
        assert done is None or isinstance(done, StoreError)  # None: it is asked for again
        assert done or picture(place.again) == picture(place.root)
        for path in place.again.iterdir():
            assert path.read_bytes() == (place.root / path.name).read_bytes()
        place.between.will()
        await place.restore_again()
        assert picture(place.again) == picture(place.root)


async def test_a_version_that_is_read_back_wrong_is_not_acknowledged(place: Place) -> None:
    chance = random.Random(7)
    place.change(chance)
    await place.take()
    place.change(chance)
    place.between.will()
    await place.take()
    requests = len(place.between.seen)
    for number in range(requests):
        place.change(chance)
        place.between.will(*[passes] * number, garbles)
        done = await outcome(place.take())
        assert isinstance(done, Commit) or done.code in {"store", "damaged", "taken"}, done
        place.between.will()
    await place.check()  # of all versions


async def test_what_lies_ready_in_another_store_does_not_count(place: Place, moto_server: Server) -> None:
    """A snapshot that was cut off, and then the operator names another store."""
    for number in range(4):
        (place.root / f"f{number}").write_bytes(os.urandom(5_000_000))
    place.between.will(*[passes] * 4, *[answers(403, "AccessDenied")] * LONG)
    with pytest.raises(StoreError):
        await place.take()
    place.between.will()
    async with S3Store(moto_server.config(), FEW) as other:
        history = History(other, "r1")
        await take(place.workspace, history, place.cache, Label(epoch=1, author="ada", message=""))
        assert (await verify(history)).problems == []
