"""The real worker process, also killed in the middle of its work."""

import asyncio
import os
import random
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import DevexError
from runner.snapshots.retention import NAMES
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.store import Fenced, StoreError
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.turns import QUEUED, Turns
from runner.snapshots.worker.workers import WorkerDied, Workers
from runner.workspace import Usage
from runner.workspace.drafts import is_draft

KILLS = 8
VERIFIED_AFTER = 20  # kills: it reads all versions, so that each time it would take longer


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    async with Workers() as workers:
        yield workers


def a_shelf(folder: Path, workspace: str = "workspace", cache: str = "cache.db", epoch: int = 1) -> Shelf:
    (folder / workspace).mkdir(exist_ok=True)
    return Shelf(
        store=spec_of(folder / "store"), prefix="r1", workspace=folder / workspace, owner=None,
        limit=Usage(1 << 40, 1 << 20), cache=folder / cache, epoch=epoch,
    )  # fmt: skip


@pytest.fixture
def snapshots(workers: Workers, tmp_path: Path) -> Snapshots:
    return Snapshots(workers, a_shelf(tmp_path))


def fill(root: Path, seed: int, files: int) -> None:
    chance = random.Random(seed)
    for number in range(files):
        path = root / f"d{number % 7}" / f"f{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(60_000)))


def contents(root: Path) -> dict[str, bytes]:
    """Without what a killed restore was just writing; that is hidden, and swept after an hour."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not is_draft(path.name)
    }


async def test_a_version_is_taken_listed_compared_read_named_and_restored(snapshots: Snapshots, tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    (root / "a.txt").write_text("one")
    first = await snapshots.take("ada", "by hand")
    (root / "a.txt").write_text("two!")
    (root / "b.txt").write_text("new")
    second = await snapshots.take("bob", "by hand")
    await snapshots.name(first["version"], "release", "ada")
    listed = (await snapshots.versions(None, 10))["versions"]
    assert [(one["version"], one["author"], one["name"]) for one in listed] == [
        ("1-2", "bob", ""),
        ("1-1", "ada", "release"),
    ]
    assert await snapshots.versions("1-2", 10) == {"versions": [listed[1]], "next": None}
    assert await snapshots.versions(None, 1) == {"versions": [listed[0]], "next": "1-2"}
    assert await snapshots.versions(None, 10, "b.txt") == {"versions": [listed[0]], "next": None}
    assert await snapshots.changes("1-2", None) == {
        "changes": [["a.txt", ["f", 3], ["f", 4]], ["b.txt", None, ["f", 3]]], "more": False,
    }  # fmt: skip
    assert await snapshots.folder("1-1", "") == {"entries": [["a.txt", "f", 3]], "complete": True}
    assert b"".join([piece async for piece in snapshots.read("1-1", "a.txt")]) == b"one"
    done = await snapshots.restore(first["version"], "", "ada")
    assert contents(root) == {"a.txt": b"one"}
    assert (done["files"], done["removed"]) == (1, 1)
    assert second["version"] in [one["version"] for one in (await snapshots.versions(None, 10))["versions"]]


async def test_it_works_wherever_the_server_was_called_from(
    snapshots: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zstandard.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert (await snapshots.take("ada", ""))["version"] == "1-1"


async def test_what_is_not_there_is_said(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "a").write_text("one")
    await snapshots.take("ada", "")
    for asked in (
        snapshots.folder("1-9", ""),
        snapshots.folder("1-1", "nowhere"),
        snapshots.restore("7-7", "", "ada"),
        snapshots.name("7-7", "x", "ada"),
        snapshots.name("../..", "x", "ada"),
        anext(snapshots.read("1-1", "a/b")),
    ):
        with pytest.raises(DevexError) as raised:
            await asked
        assert raised.value.status == 404


async def test_who_is_outdated_is_told_apart(workers: Workers, snapshots: Snapshots, tmp_path: Path) -> None:
    await Snapshots(workers, a_shelf(tmp_path, epoch=2)).take("ada", "")
    (tmp_path / "workspace" / "a").write_text("one")
    with pytest.raises(Fenced) as raised:
        await snapshots.take("ada", "")
    assert raised.value.action


async def test_a_slow_reader_holds_nobody_up(snapshots: Snapshots, tmp_path: Path) -> None:
    large = os.urandom(30 << 20)
    (tmp_path / "workspace" / "large").write_bytes(large)
    await snapshots.take("ada", "")
    reading = snapshots.read("1-1", "large")
    pieces = [await anext(reading)]
    for number in range(3):
        (tmp_path / "workspace" / "small").write_text(str(number))
        await snapshots.take("ada", "")
    pieces += [piece async for piece in reading]
    assert b"".join(pieces) == large


async def test_a_worker_with_nothing_to_do_ends_and_the_next_job_starts_another(tmp_path: Path) -> None:
    async with Workers(idle_s=0.0) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        assert await snapshots.head() is None
        while workers.pid is not None:
            await asyncio.sleep(0.01)
        assert await snapshots.head() is None


async def test_a_killed_worker_fails_its_jobs_and_nothing_else(
    workers: Workers, snapshots: Snapshots, tmp_path: Path
) -> None:
    fill(tmp_path / "workspace", 1, 200)
    told = asyncio.Event()
    taking = asyncio.create_task(snapshots.take("ada", "", lambda _: told.set()))
    await told.wait()
    assert workers.pid is not None
    os.kill(workers.pid, signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await taking
    assert (await snapshots.take("ada", ""))["files"] == 200


async def test_a_worker_that_hangs_is_killed_and_others_lose_nothing(tmp_path: Path) -> None:
    """A process in a system call that never returns hears of no cancellation, and would be everybody's last one."""
    async with Workers(cancel_s=0.2) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        (tmp_path / "workspace" / "a").write_text("one")
        await snapshots.take("ada", "")
        hanging = workers.pid
        assert hanging is not None
        os.kill(hanging, signal.SIGSTOP)
        given_up = asyncio.create_task(snapshots.head())
        waiting = asyncio.create_task(snapshots.verify())
        await asyncio.sleep(0)  # both have begun
        given_up.cancel()
        assert (await waiting)["problems"] == []
        assert workers.pid != hanging
        assert await snapshots.head() is not None


async def test_jobs_that_end_when_they_are_given_up_end_nobodys_worker(tmp_path: Path) -> None:
    async with Workers(cancel_s=3) as workers, asyncio.timeout(60):
        snapshots = Snapshots(workers, a_shelf(tmp_path))
        fill(tmp_path / "workspace", 1, 200)
        for _ in range(5):
            told = asyncio.Event()
            jobs = [asyncio.create_task(snapshots.take("ada", "", lambda _, told=told: told.set()))]  # type: ignore[misc]
            jobs.append(asyncio.create_task(snapshots.verify()))
            await told.wait()
            for job in jobs:
                job.cancel()
            await asyncio.wait(jobs)
        pid = workers.pid
        with suppress(TimeoutError):
            async with asyncio.timeout(4):
                while workers.pid == pid:
                    await asyncio.sleep(0.05)
        assert workers.pid == pid
        assert (await snapshots.take("ada", ""))["files"] == 200


async def test_a_worker_that_hangs_when_it_is_to_end_is_killed(tmp_path: Path) -> None:
    async with asyncio.timeout(60):
        async with Workers() as workers:
            assert await Snapshots(workers, a_shelf(tmp_path)).head() is None
            pid = workers.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


class Gate:
    """A store whose signer thinks for as long as it is shut: whoever has its turn there keeps it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.opened = asyncio.Event()

    async def __call__(self, question: Message) -> Message:
        self.asked.set()
        await self.opened.wait()
        return {"error": {"message": "no", "action": "no", "retryable": False}}


async def test_the_time_of_a_job_counts_from_its_turn(tmp_path: Path) -> None:
    gate = Gate()
    async with Workers(answer=gate) as workers, asyncio.timeout(60):
        slow: dict[str, Any] = {"store": {"signed": {"ca_file": None}}, "prefix": "r2"}
        other = asyncio.create_task(workers.run("verify", turn_s=60.0, **slow))
        await gate.asked.wait()
        mine: dict[str, Any] = {"store": spec_of(tmp_path / "store"), "prefix": "r1"}
        waiting = asyncio.create_task(workers.run("verify", turn_s=2.0, **mine))
        await asyncio.wait([waiting], timeout=3)
        assert not waiting.done()
        gate.opened.set()
        assert (await waiting)["problems"] == []
        with pytest.raises(StoreError):
            await other


async def test_so_many_wait_for_their_turn(tmp_path: Path) -> None:
    gate = Gate()
    async with Workers(answer=gate) as workers, asyncio.timeout(60):
        slow: dict[str, Any] = {"store": {"signed": {"ca_file": None}}, "prefix": "r2"}
        other = asyncio.create_task(workers.run("verify", turn_s=60.0, **slow))
        await gate.asked.wait()
        mine: dict[str, Any] = {"store": spec_of(tmp_path / "store"), "prefix": "r1"}
        jobs = [asyncio.create_task(workers.run("verify", turn_s=60.0, **mine)) for _ in range(QUEUED + 5)]
        done, waiting = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        gate.opened.set()
        await asyncio.wait([other, *waiting])
        refused = [error for job in jobs if (error := job.exception()) is not None]
        assert {error.code for error in refused if isinstance(error, DevexError)} == {"busy"}
        assert (bool(done), len(refused), bool(other.exception())) == (True, 5, True)


async def killed_at_random(workers: Workers, job: asyncio.Task[object], chance: random.Random) -> None:
    """Kill the worker at some moment of a job, or let it come first."""
    await asyncio.wait([job], timeout=chance.random() * 0.5)
    if workers.pid is not None and not job.done():
        os.kill(workers.pid, signal.SIGKILL)
    await asyncio.wait([job])
    if error := job.exception():
        assert isinstance(error, WorkerDied)


async def test_names_too_long_to_be_told_end_nobodys_worker(
    workers: Workers, snapshots: Snapshots, tmp_path: Path
) -> None:
    """A process that wrote more than the server reads is ended, and with it what it does for everybody."""
    name = b"\xff" * 240
    deep = os.path.join(os.fsencode(tmp_path / "workspace"), *[name] * 15)
    os.makedirs(deep)
    folder = os.open(deep, os.O_RDONLY)
    for number in range(9000):
        os.close(os.open(b"%04d" % number + name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    version = (await snapshots.take("ada", ""))["version"]
    pid = workers.pid
    assert (await snapshots.changes(version, None))["more"]
    listed = await snapshots.folder(version, "/".join([os.fsdecode(name)] * 15))
    assert (len(listed["entries"]), listed["complete"]) == ((2 << 20) // 244, False)
    assert workers.pid == pid


async def test_readers_that_stand_still_hold_little_and_are_so_many(snapshots: Snapshots, tmp_path: Path) -> None:
    """Whoever takes one piece and no more, over many connections, must not fill the server's memory."""
    content = random.Random(1).randbytes(20 << 20)
    (tmp_path / "workspace" / "a").write_bytes(content)
    version = (await snapshots.take("ada", ""))["version"]
    async with AsyncExitStack() as stack:
        for _ in range(8):
            pieces = await stack.enter_async_context(aclosing(snapshots.read(version, "a")))
            assert len(await anext(pieces)) <= 256 << 10
        with pytest.raises(DevexError) as refused:
            await anext(snapshots.read(version, "a"))
        assert refused.value.code == "busy"
    async with asyncio.timeout(10):
        found = b""
        while found != content:
            with suppress(DevexError):  # busy: what was left is told to the worker, and ends there
                found = b"".join([piece async for piece in snapshots.read(version, "a")])


async def test_a_program_that_rewrites_all_fills_its_history_and_not_the_store(
    workers: Workers, tmp_path: Path
) -> None:
    """What was kept by a name stays whole, and so does the newest version; the rest is thinned out, which is said."""
    room = 10 << 20
    snapshots = Snapshots(workers, replace(a_shelf(tmp_path), limit=Usage(room // 10, 100)))
    chance = random.Random(1)
    path = tmp_path / "workspace" / "random"
    crowded: set[str | None] = set()
    named, release, newest = "", b"", b""
    for number in range(40):
        path.write_bytes(newest := chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        crowded.add(taken["crowded"])
        if number == 2:
            named, release = taken["version"], newest
            await snapshots.name(named, "release", "ada")
        assert stored_bytes(tmp_path) < room + (2 << 20)
    assert len(crowded) > 1
    assert all(why is None or "were removed sooner than usual: the history has room for 0.0" in why for why in crowded)
    listed = [one["version"] for one in (await snapshots.versions(None, 100))["versions"]]
    assert 4 <= len(listed) <= 12
    assert listed[-1] == named
    assert (await snapshots.verify())["problems"] == []
    assert b"".join([piece async for piece in snapshots.read(named, "random")]) == release
    assert b"".join([piece async for piece in snapshots.read(listed[0], "random")]) == newest


async def test_names_take_no_more_than_the_room_of_a_history(workers: Workers, tmp_path: Path) -> None:
    room = 10 << 20
    snapshots = Snapshots(workers, replace(a_shelf(tmp_path), limit=Usage(room // 10, 100)))
    chance = random.Random(1)
    refused = None
    named: list[str] = []
    while refused is None:
        (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        try:
            await snapshots.name(taken["version"], "release", "ada")
            named.append(taken["version"])
        except DevexError as error:
            refused = error
        assert len(named) <= 11
    assert (refused.code, len(named)) == ("history_full", 10)
    await snapshots.name(named[0], "a name of its own", "ada")  # it has its room already
    taken = {}
    for _ in range(3):
        (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
        taken = await snapshots.take("ada", "")
        assert stored_bytes(tmp_path) < room + (3 << 20)
    assert taken["crowded"].startswith("The versions with a name fill")
    listed = [one["version"] for one in (await snapshots.versions(None, 100))["versions"]]
    assert listed[0] == taken["version"]
    assert set(named) <= set(listed)
    assert (await snapshots.verify())["problems"] == []
    for version in named[:8]:
        await snapshots.name(version, "", "ada")
    (tmp_path / "workspace" / "random").write_bytes(chance.randbytes(1_000_000))
    version = (await snapshots.take("ada", ""))["version"]
    await snapshots.name(version, "again", "ada")
    assert stored_bytes(tmp_path) < room


async def test_so_many_versions_have_a_name(snapshots: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "workspace" / "a").write_text("one")
    version = (await snapshots.take("ada", ""))["version"]
    (tmp_path / "store" / "r1" / "n").mkdir()
    for number in range(NAMES):
        (tmp_path / "store" / "r1" / "n" / f"7-{number}-{'0' * 40}").write_bytes(b"not even read")
    with pytest.raises(DevexError) as refused:
        await snapshots.name(version, "release", "ada")
    assert refused.value.code == "history_full"
    assert [one["name"] for one in (await snapshots.versions(None, 10))["versions"]] == [""]
    (tmp_path / "store" / "r1" / "n" / f"7-1-{'0' * 40}").unlink()
    await snapshots.name(version, "release", "ada")


def stored_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())


async def test_readers_of_all_repls_are_so_many(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "a").write_bytes(random.Random(1).randbytes(1 << 20))

    async def a_repl(number: int) -> tuple[Snapshots, str]:
        snapshots = Snapshots(workers, replace(a_shelf(tmp_path, cache=f"{number}.db"), prefix=f"r{number}"))
        return snapshots, (await snapshots.take("ada", ""))["version"]

    async with AsyncExitStack() as stack:
        for number in range(8):
            snapshots, version = await a_repl(number)
            for _ in range(8):
                await anext(await stack.enter_async_context(aclosing(snapshots.read(version, "a"))))
        snapshots, version = await a_repl(8)
        with pytest.raises(DevexError) as refused:
            await anext(snapshots.read(version, "a"))
        assert (refused.value.code, refused.value.retryable) == ("busy", True)


async def test_who_lists_much_at_once_holds_nobody_up(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "workspace").mkdir()
    for number in range(10_000):
        (tmp_path / "workspace" / f"{number:05}").touch()
    many = Snapshots(workers, a_shelf(tmp_path))
    version = (await many.take("ada", ""))["version"]
    other = Snapshots(workers, replace(a_shelf(tmp_path, "other", "other.db"), prefix="r2"))
    (tmp_path / "other" / "a").write_text("one")
    listings = [asyncio.create_task(many.folder(version, "")) for _ in range(60)]
    await asyncio.wait(listings, return_when=asyncio.FIRST_COMPLETED)
    assert (await other.take("bob", ""))["files"] == 1
    assert len((await other.folder("1-1", ""))["entries"]) == 1
    assert not all(one.done() for one in listings)
    assert {len(listed["entries"]) for listed in await asyncio.gather(*listings)} == {10_000}


async def test_so_many_of_one_repl_have_their_turn_at_a_time() -> None:
    turns = Turns(3, 2)
    inside: Counter[str] = Counter()
    leave = asyncio.Event()

    async def reads(prefix: str) -> None:
        async with turns.turn({"prefix": prefix}):
            inside[prefix] += 1
            await leave.wait()

    async with asyncio.TaskGroup() as tasks:
        for prefix in ("r1", "r1", "r1", "r1", "r2", "r2"):
            tasks.create_task(reads(prefix))
        while sum(inside.values()) < 3:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert inside == {"r1": 2, "r2": 1}
        leave.set()
    assert inside == {"r1": 4, "r2": 2}


async def kill_and_check(workers: Workers, tmp_path: Path, kills: int, seed: int) -> None:
    """Whatever is cut off: the newest version is whole, nothing is lost, nothing is left after a collection."""
    chance = random.Random(seed)
    snapshots = Snapshots(workers, a_shelf(tmp_path))
    root = tmp_path / "workspace"
    for number in range(kills):
        fill(root, seed + number, 150)
        await snapshots.head()  # it runs
        match number % 3:
            case 0:
                job: Coroutine[object, object, object] = snapshots.take("ada", "")
            case 1:
                job = snapshots.collect()
            case _:
                await snapshots.take("ada", "")
                job = _restored(workers, snapshots, tmp_path, number)
        await killed_at_random(workers, asyncio.create_task(job), chance)
        taken = await snapshots.take("ada", "")
        assert (await snapshots.head() or {})["version"] == taken["version"]
        await _restored(workers, snapshots, tmp_path, number)  # which reads each of its hashes
        assert contents(tmp_path / f"again{number}") == contents(root)
        shutil.rmtree(tmp_path / f"again{number}")
        if number % VERIFIED_AFTER == 0 or number == kills - 1:
            assert (await snapshots.verify())["problems"] == []


async def _restored(workers: Workers, snapshots: Snapshots, tmp_path: Path, number: int) -> object:
    head = await snapshots.head()
    if head is None:
        return None
    elsewhere = Snapshots(workers, a_shelf(tmp_path, f"again{number}", "other.db"))
    return await elsewhere.restore(head["version"], "", "ada", empty=True)


async def test_kill_9_anywhere(workers: Workers, tmp_path: Path) -> None:
    async with asyncio.timeout(100):
        await kill_and_check(workers, tmp_path, KILLS, 1)


@pytest.mark.soak
async def test_kill_9_anywhere_two_hundred_times(workers: Workers, tmp_path: Path) -> None:
    await kill_and_check(workers, tmp_path, 200, 2)
