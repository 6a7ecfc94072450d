"""A proxy that is killed without grace, its workspace and caches with it, while files are written all the time: what
comes back, and what was said of the rest.

Two clocks tell what came before what: ticks of the loop of the proxy's process, see `one_life`, and the machine's.
"""

import asyncio
import json
import random
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count, groupby, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed

from runner.snapshots.autosave import CHANGED_MOST
from tests.runner.documents.tab import Tab
from tests.runner.proxy.one_life import PAUSE_TICKS, Ticks

ROOT: Final = Path(__file__).parents[3]
DEADLINE_S: Final = 60.0
POLL_S: Final = 0.01
KILLS: Final = 5
SEED: Final = 11
SLACK_TICKS: Final = 10  # turns of the loop between a timer and what it leads to: each has one tick at most
PUT: Final = [f"put/{each}" for each in range(12)]  # written again and again
EDITED: Final = "edited.txt"
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class Write(NamedTuple):
    """`tick` and `at` are of its acknowledgement. One of a program is acknowledged by the kernel: of that the proxy has
    yet to hear."""

    path: str
    number: int
    tick: int
    at: datetime

    @property
    def by_program(self) -> bool:
        return self.path.startswith("program/")


class Attempt(NamedTuple):
    """To save a version, in ticks; of one that was cut off `ended` is None."""

    began: int
    ended: int | None


class Death(NamedTuple):
    """`stored` is what was told of what is safe, the newest last."""

    tick: int
    written: list[Write]
    attempts: list[Attempt]
    stored: list[dict[str, Any]]


def content(path: str, number: int) -> bytes:
    if path == EDITED:
        return b"".join(b"line %d\n" % each for each in range(number))
    head = f"{path} {number}\n".encode()
    return head + random.Random(head).randbytes(100_000 + number % 977)  # so that a version takes a while


def number_of(path: str, found: bytes) -> int:
    """Which of the contents that were ever written there it is, byte by byte; -1: none."""
    head = found.partition(b"\n")[0]
    number = found.count(b"\n") if path == EDITED else int(head.partition(b" ")[2] or -1)
    return number if found == content(path, number) else -1


class Frames:
    """A WebSocket as `Tab` speaks to it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def receive(self, frame: bytes) -> None:
        await self._socket.send(frame)

    async def next_frame(self) -> bytes:
        return await self._socket.recv(decode=False)

    def close(self) -> None:
        """Whoever opened it does."""


class Life:
    """Of a proxy that comes up with nothing but what is in the store. `written` is what was acknowledged: in it, and
    before, as far as it is there."""

    def __init__(self, folder: Path, process: Process) -> None:
        self.written: list[Write] = []
        self._folder = folder
        self._process = process
        self._ticks = Ticks(folder / "ticks")
        self._socket = str(folder / "http.sock")

    async def end(self) -> Death:
        """By -9, for all its processes."""
        if self._process.returncode is None:
            workers = psutil.Process(self._process.pid).children(recursive=True)
            self._process.kill()
            for worker in workers:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            await self._process.wait()
            await self.until(lambda: not any(map(_runs, workers)))
        return Death(self._ticks.now, self.written, self.attempts(), [stored for _, stored in self._stored()])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                await asyncio.sleep(POLL_S)

    async def go_on(self, versions: int, ticks: int) -> None:
        """Until so many versions are saved, and then for so long."""
        await self.until(lambda: sum(one.ended is not None for one in self.attempts()) >= versions)
        ends_at = self._ticks.now + ticks
        await self.until(lambda: self._ticks.now >= ends_at)

    def restoring(self) -> dict[str, Any] | None:
        """What was told last."""
        told: dict[str, Any] | None = None
        for _, event in self._told():
            told = event["restoring"] if event["type"] == "hello" else event if event["type"] == "restoring" else told
        return told

    def attempts(self) -> list[Attempt]:
        found: list[Attempt] = []
        was_saving = False
        for tick, stored in self._stored():
            is_saving = stored["saving"] is not None
            if is_saving and not was_saving:
                found.append(Attempt(tick, None))
            elif was_saving and not is_saving:
                assert stored["problem"] is None
                found[-1] = found[-1]._replace(ended=tick)
            was_saving = is_saving
        return found

    def _stored(self) -> list[tuple[int, dict[str, Any]]]:
        return [(tick, event) for tick, event in self._told() if event["type"] == "stored"]

    def _told(self) -> list[tuple[int, dict[str, Any]]]:
        lines = (self._folder / "told").read_bytes().split(b"\n")[:-1]  # the last one may be half written
        return [(tick, event) for tick, event in map(json.loads, lines)]

    async def put(self, numbers: Iterable[int]) -> None:
        transport = httpx.AsyncHTTPTransport(uds=self._socket)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=DEADLINE_S) as http:
            for number in numbers:
                path = PUT[number % len(PUT)]
                (await http.put(f"/files/{path}", content=content(path, number))).raise_for_status()
                self._acknowledged(path, number)

    async def edit(self) -> None:
        url = "ws://localhost/documents"
        async with unix_connect(self._socket, url, compression=None, max_size=None, proxy=None) as socket:
            (self._folder / "workspace" / EDITED).touch()
            tab = await Tab(EDITED).over(Frames(socket))
            while True:
                number = tab.text.count("\n")
                await tab.type(len(tab.text), f"line {number}\n")
                await tab.flush()
                self._acknowledged(EDITED, number + 1)

    async def program(self, numbers: Iterable[int]) -> None:
        folder = self._folder / "workspace"
        for number in numbers:
            path = f"program/{number}"
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content(path, number))
            self._acknowledged(path, number)
            await asyncio.sleep(POLL_S)

    def _acknowledged(self, path: str, number: int) -> None:
        self.written.append(Write(path, number, self._ticks.now, datetime.now(UTC)))


@asynccontextmanager
async def living(folder: Path, epoch: int) -> AsyncIterator[Life]:
    """Killed in the end, with everything but the store."""
    (folder / "workspace").mkdir()
    (folder / "ticks").write_bytes(bytes(8))
    (folder / "told").touch()
    command = (sys.executable, "-m", "tests.runner.proxy.one_life", str(folder), str(epoch))
    life = Life(folder, await asyncio.create_subprocess_exec(*command, cwd=ROOT))
    try:
        yield life
    finally:
        await life.end()
        shutil.rmtree(folder / "workspace")
        for path in folder.iterdir():
            if path.name != "store":
                path.unlink()


@asynccontextmanager
async def writing(*writers: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Until the proxy is gone."""
    tasks = [asyncio.create_task(writer) for writer in writers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    gone = (asyncio.CancelledError, httpx.TransportError, ConnectionClosed)
    assert all(isinstance(end, gone) for end in ends), ends


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def check_saved_in_time(death: Death) -> None:
    """A version is begun the pause after what was acknowledged first since the one before, or when that one is done."""
    for before, after in pairwise([Attempt(-1, -1), *death.attempts, Attempt(death.tick, None)]):
        waiting = [one.tick for one in death.written if before.began < one.tick < after.began and not one.by_program]
        if waiting and before.ended is not None:
            assert after.began <= max(min(waiting) + PAUSE_TICKS, before.ended) + SLACK_TICKS, death.attempts


def check_back(death: Death, workspace: Path) -> tuple[list[Write], list[Write]]:
    """-> the newest write that is there of each file, and those that are lost"""
    saved = [one for one in death.attempts if one.ended is not None]
    safe = saved[-1].began if saved else 0
    longest = max(((death.tick if one.ended is None else one.ended) - one.began for one in death.attempts), default=0)
    back: list[Write] = []
    lost: list[Write] = []
    for path, written in groupby(sorted(death.written), key=lambda one: one.path):
        whole = (workspace / path).exists()
        number = number_of(path, (workspace / path).read_bytes()) if whole else -1
        assert number >= 0 or not whole or path.startswith("program/"), f"{path} is half there"
        ours = list(written)
        back += [one._replace(tick=-1, at=LONG_AGO) for one in ours if one.number <= number][-1:]
        lost += [one for one in ours if one.number > number]
    for one in lost:
        assert one.tick >= safe, f"{one} was there when a version was begun that was told to be in the store"
        assert one.by_program or death.tick - one.tick <= max(PAUSE_TICKS, longest) + longest + SLACK_TICKS
    return back, lost


def check_said(death: Death, lost: list[Write], restoring: dict[str, Any] | None) -> None:
    """Of when the files are, since when what was changed is lost, and, as far as that was known, in which files."""
    assert not lost or (restoring or {}).get("cut_off") is not False
    if restoring:
        assert all(one.at >= datetime.fromisoformat(restoring["at"]) for one in lost)
    for _, same in groupby(death.stored, key=lambda stored: stored["version"]):
        for before, after in pairwise(same):  # also while the next one is taken
            assert after["changed_at"] == before["changed_at"] or before["changed_at"] is None
            assert set(before["changed"]) <= set(after["changed"]) or len(after["changed"]) == CHANGED_MOST
    if by_proxy := [one.at for one in lost if not one.by_program]:
        assert min(by_proxy) >= datetime.fromisoformat(death.stored[-1]["changed_at"])


async def test_what_a_kill_takes_along_is_the_pause_and_a_snapshot_and_is_said(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    put, program = count(), count()
    death: Death | None = None
    for epoch in range(1, KILLS + 2):
        async with living(tmp_path, epoch) as life:
            if epoch % 3 == 0:  # killed once more, before it is up again
                await life.until(lambda: life.restoring() is not None or (tmp_path / "restored").exists())
                continue
            await life.until((tmp_path / "restored").exists)
            if death is not None:
                life.written, lost = check_back(death, tmp_path / "workspace")
                check_said(death, lost, life.restoring())
            async with writing(life.put(put), life.edit(), life.program(program)):
                await life.go_on(chance.randrange(3), chance.randrange(PAUSE_TICKS * 3 // 2))
                death = await life.end()
            check_saved_in_time(death)
