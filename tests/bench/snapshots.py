"""Versions, beside the tools one would otherwise use, with one S3 server on this machine."""

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores.opening import StoreSpec, spec_of
from runner.snapshots.worker.workers import Workers
from runner.workspace import Usage
from tests.bench.figures import Measured
from tests.bench.server import ROOT
from tests.stores import ACCESS_KEY, BUCKET, RCLONE, SECRET_KEY, Server, rclone

FILES, FOLDERS = 10_000, 100
TEXT_BYTES, RANDOM_BYTES = 72_000_000, 100_000_000
WORDS, CORPUS_BYTES = 5_000, 4_000_000
SEED = 3
ROUNDS, ONES = 3, 9
OLD_S = 2.5  # no version trusts the time stamps of younger files
DELAY_MS = 40
LIMIT = Usage(10 << 30, 1_000_000)
AWS = Path(sys.executable).parents[1] / "aws" / "bin" / "aws"

NEAR = (
    "snapshot_first_ratio",
    "snapshot_first_s",
    "snapshot_one_ms",
    "snapshot_none_ms",
    "restore_s",
    "restore_open_ms",
    "snapshot_peak_mib",
)
FAR = (
    "snapshot_one_requests",
    "snapshot_one_kib",
    "snapshot_first_far_s",
    "snapshot_one_far_s",
    "restore_far_s",
)


@dataclass(frozen=True)
class Scene:
    """A workspace of FILES, an S3 server, and workers, which are asked for something before they are measured: while
    people work the process is there."""

    folder: Path
    server: Server
    workers: Workers

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    def snapshots(self, store: StoreSpec, repl: str, workspace: Path | None = None) -> Snapshots:
        shelf = Shelf(
            store=store,
            prefix=repl,
            workspace=workspace or self.workspace,
            owner=(os.getuid(), os.getgid()),
            limit=LIMIT,
            cache=self.folder / f"{repl}.db",
            epoch=1,
        )
        return Snapshots(self.workers, shelf)

    def change_one(self, number: int) -> None:
        """A line more in one file."""
        with _file(self.workspace, number * 997 % FILES).open("ab") as file:
            file.write(b"one more line\n")

    async def restored(self, store: StoreSpec, repl: str, version: str) -> float:
        """Seconds until an empty workspace holds the version."""
        target = Path(tempfile.mkdtemp(prefix="restored-", dir=self.folder))
        took_s = await _timed(self.snapshots(store, repl, target).restore(version, "", "bench", empty=True))
        assert _content(target) == _content(self.workspace)
        return took_s

    def copied_s(self) -> float:
        """Seconds to copy the workspace, file by file: what the disk takes."""
        os.sync()
        started = time.perf_counter()
        shutil.copytree(self.workspace, Path(tempfile.mkdtemp(prefix="copied-", dir=self.folder)) / "workspace")
        return time.perf_counter() - started

    async def opened(self, store: StoreSpec, repl: str, version: str) -> float:
        """Seconds until one file can be opened while an empty workspace is being restored."""
        target = Path(tempfile.mkdtemp(prefix="opened-", dir=self.folder))
        into = self.snapshots(store, repl, target)
        path = _file(target, FILES - 1)
        restoring = asyncio.create_task(into.restore(version, "", "bench", empty=True))
        took_s = await _timed(into.bring(version, str(path.relative_to(target))))
        assert path.stat().st_size > 0
        await restoring
        return took_s

    def peak_mib(self) -> float:
        """The most memory the worker has ever had."""
        status = Path(f"/proc/{self.workers.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def rclone_s(self, target: str) -> float:
        return self._rclone_s(str(self.workspace), f"bench:{BUCKET}/{target}")

    def rclone_back_s(self, source: str) -> float:
        return self._rclone_s(f"bench:{BUCKET}/{source}", tempfile.mkdtemp(prefix="rclone-", dir=self.folder))

    def _rclone_s(self, source: str, target: str) -> float:
        settings = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ENDPOINT": self.server.url,
            "ACCESS_KEY_ID": ACCESS_KEY,
            "SECRET_ACCESS_KEY": SECRET_KEY,
        }
        command = [str(RCLONE), "sync", "--config", "", "--transfers", "16", "--checkers", "16"]
        variables = {f"RCLONE_CONFIG_BENCH_{name}": value for name, value in settings.items()}
        return _ran_s([*command, source, target], variables)

    def aws_s(self, target: str) -> float:
        command = [str(AWS), "--endpoint-url", self.server.url, "s3", "sync", "--only-show-errors"]
        variables = {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }
        return _ran_s([*command, str(self.workspace), f"s3://{BUCKET}/{target}"], variables)


async def near(folder: Path) -> Sequence[Measured]:
    """NEAR; what is beside them are the other tools, in the same unit."""
    async with _scene(folder) as scene:
        store = spec_of(scene.server.config())
        await scene.snapshots(store, "r0").head()
        firsts, rclone_firsts = [], []
        for number in range(ROUNDS):
            rclone_firsts.append(scene.rclone_s(f"rclone-{number}"))
            firsts.append(await _timed(scene.snapshots(store, f"r{number}").take("bench", "first")))
        version = await scene.snapshots(store, "r0").take("bench", "same")
        restores, copies, rclone_restores = [], [], []
        for _ in range(ROUNDS):
            copies.append(scene.copied_s())
            restores.append(await scene.restored(store, "r0", version["version"]))
            rclone_restores.append(scene.rclone_back_s("rclone-0"))
        opened = [await scene.opened(store, "r0", version["version"]) for _ in range(ROUNDS)]
        peak_mib = scene.peak_mib()
        snapshots = scene.snapshots(store, "r0")
        tools: dict[str, Callable[[], float]] = {"rclone sync": lambda: scene.rclone_s("rclone-0")}
        beside = {"rclone sync": median(rclone_firsts)}
        if AWS.exists():
            tools["aws s3 sync"] = lambda: scene.aws_s("aws")
            beside["aws s3 sync"] = scene.aws_s("aws")
        time.sleep(OLD_S)
        nones = [await _timed(snapshots.take("bench", "none")) for _ in range(ONES)]
        beside_none = {name: run() * 1000 for name, run in tools.items()}
        ones = []
        for number in range(ONES):
            scene.change_one(number)
            ones.append(await _timed(snapshots.take("bench", "one")))
        beside_one = {name: run() * 1000 for name, run in tools.items()}
    return (
        Measured(median(ours / theirs for ours, theirs in zip(firsts, rclone_firsts, strict=True))),
        Measured(median(firsts), beside=beside),
        Measured(median(ones) * 1000, beside=beside_one),
        Measured(median(nones) * 1000, beside=beside_none),
        Measured(median(restores), limit=median(copies), beside={"rclone sync": median(rclone_restores)}),
        Measured(median(opened) * 1000),
        Measured(peak_mib),
    )


async def far(folder: Path) -> Sequence[Measured]:
    """FAR: every request takes DELAY_MS longer, and is counted."""
    async with _scene(folder) as scene:
        with _delay(scene.server.url) as (url, counted):
            store = spec_of(scene.server.config(endpoint_url=url))
            await scene.snapshots(store, "r0").head()
            takes = [scene.snapshots(store, f"r{number}") for number in range(ROUNDS)]
            firsts = [await _timed(one.take("bench", "first")) for one in takes]
            time.sleep(OLD_S)
            await takes[0].take("bench", "none")
            ones, counts = [], []
            for number in range(ONES):
                scene.change_one(number)
                counted()
                ones.append(await _timed(takes[0].take("bench", "one")))
                counts.append(counted())
            version = await takes[0].take("bench", "none")
            restores = [await scene.restored(store, "r0", version["version"]) for _ in range(ROUNDS)]
    return (
        Measured(max(requests for requests, _ in counts)),
        Measured(max(size_bytes for _, size_bytes in counts) / 1024),
        Measured(median(firsts)),
        Measured(median(ones)),
        Measured(median(restores)),
    )


@asynccontextmanager
async def _scene(folder: Path) -> AsyncIterator[Scene]:
    folder.mkdir()
    with rclone(folder) as server:
        _make(folder / "workspace")
        time.sleep(OLD_S)
        async with Workers() as workers:
            yield Scene(folder, server, workers)


def _make(workspace: Path) -> None:
    """Text compresses to about half; no two files are the same."""
    chance = random.Random(SEED)
    words = [bytes(chance.choices(b"etaoinshrdlucmfwypvbgkqjxz_", k=chance.randint(2, 10))) for _ in range(WORDS)]
    usual = [1 / (rank + 10) for rank in range(WORDS)]
    corpus = b" ".join(chance.choices(words, usual, k=CORPUS_BYTES // 6))
    lines = [corpus[at : at + 60] for at in range(0, len(corpus), 60)]
    for number in range(FILES):
        path = _file(workspace, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        size = chance.randint(TEXT_BYTES // FILES // 4, TEXT_BYTES // FILES * 7 // 4)
        path.write_bytes(b"# %d\n" % number + b"\n".join(chance.choices(lines, k=size // 61)))
    (workspace / "large.bin").write_bytes(chance.randbytes(RANDOM_BYTES))


def _file(workspace: Path, number: int) -> Path:
    return workspace / f"folder{number % FOLDERS:03}" / f"file{number:05}.txt"


def _content(root: Path) -> dict[str, tuple[int, int, int]]:
    """Of every file: its bytes (by their hash here), mode and time."""
    found = {}
    for path in root.rglob("*"):
        status = path.lstat()
        if path.is_file():
            found[str(path.relative_to(root))] = (hash(path.read_bytes()), status.st_mode, status.st_mtime_ns)
    return found


async def _timed(work: Awaitable[Any]) -> float:
    """Seconds. What others wrote is on the disk before: it is not this one's to wait for."""
    os.sync()
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def _ran_s(command: Sequence[str], variables: dict[str, str]) -> float:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RCLONE_", "AWS_"))}
    os.sync()
    started = time.perf_counter()
    subprocess.run(command, check=True, env=kept | variables, stdin=subprocess.DEVNULL)
    return time.perf_counter() - started


@contextmanager
def _delay(url: str) -> Iterator[tuple[str, Callable[[], tuple[int, int]]]]:
    """-> an address, and what tells the requests and bytes that went over it since it was asked before."""
    to = urlsplit(url)
    command = [sys.executable, "-m", "tests.bench.delay", str(to.hostname), str(to.port), str(DELAY_MS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        asking, answers = process.stdin, process.stdout

        def counted() -> tuple[int, int]:
            asking.write("\n")
            asking.flush()
            requests, size_bytes = answers.readline().split()
            return int(requests), int(size_bytes)

        yield f"http://127.0.0.1:{int(answers.readline())}", counted
        asking.close()


def measure(wanted: Callable[[str], bool]) -> Iterator[tuple[str, Measured]]:
    """Nothing is removed before the end: ext4 without a journal goes around every inode that was freed lately, which
    makes 10,000 files that follow 10,000 others take seconds longer, for cp(1) as well.
    """
    with tempfile.TemporaryDirectory(prefix="devex-bench-") as name:
        for names, together in ((NEAR, near), (FAR, far)):
            if any(map(wanted, names)):
                folder = Path(name) / together.__name__
                for name_of, measured in zip(names, asyncio.run(together(folder)), strict=True):
                    if wanted(name_of):
                        yield name_of, measured
