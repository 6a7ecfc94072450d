"""The contract on a folder, and what only a folder can suffer: killed writers, full and vanishing disks."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from runner.snapshots.stores.directory import DRAFTS, DirectoryStore
from runner.snapshots.stores.store import Missing, Store, StoreError
from tests.contracts.store import StoreContract, keys
from tests.faults.server import mounted

ROOT = Path(__file__).parents[4]
LARGE_BYTES = 100 << 20  # takes a while to be written

WRITE = f"""
import asyncio, sys
from pathlib import Path
from runner.snapshots.stores.directory import DirectoryStore

async def write() -> None:
    async with DirectoryStore(Path(sys.argv[1])) as store:
        await store.create(sys.argv[2], bytes({LARGE_BYTES}))

asyncio.run(write())
"""

TRY = """
import asyncio, json, sys
from pathlib import Path
from runner.errors import DevexError
from runner.snapshots.stores.directory import DirectoryStore

async def fill() -> None:
    root = Path(sys.argv[1])
    try:
        async with DirectoryStore(root) as store:
            created = 0
            try:
                while True:
                    await store.create(f"p/{created}", bytes(100_000))
                    created += 1
            finally:
                whole = [len(await store.get(listed.key)) for listed in [one async for one in store.list("")]]
                left = len(list((root / ".drafts").iterdir()))
                if whole:
                    await store.delete(["p/0", "p/1"])
                    await store.create("p/again", b"1")
                print(json.dumps([created, whole, left]))
    except DevexError as error:
        print(json.dumps([error.message, error.action, error.retryable]))

asyncio.run(fill())
"""


class TestDirectory(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with DirectoryStore(tmp_path / "versions") as store:
            yield store


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    root = tmp_path / "versions"
    async with DirectoryStore(root) as store:
        await store.create("repl/p/1", b"1")
    modes = {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}
    assert modes == {".": 0o700, DRAFTS: 0o700, "repl": 0o700, "repl/p": 0o700, "repl/p/1": 0o600}


async def test_folders_go_with_their_last_object(tmp_path: Path) -> None:
    async with DirectoryStore(tmp_path) as store:
        for key in ("repl1/p/1", "repl1/c/1", "repl2/c/1"):
            await store.create(key, b"1")
        await store.delete(["repl1/p/1", "repl1/c/1"])
        assert sorted(os.listdir(tmp_path)) == [DRAFTS, "repl2"]


async def test_a_folder_that_others_empty_meanwhile(tmp_path: Path) -> None:
    """In which objects are created, with folders that a deletion takes away in between."""
    async with DirectoryStore(tmp_path) as store, DirectoryStore(tmp_path) as other:

        async def come_and_go(store: Store, number: int) -> None:
            for _ in range(20):
                await store.create(f"repl/p/{number}", b"1")
                await store.delete([f"repl/p/{number}"])
                await keys(store, "repl/")

        await asyncio.gather(*(come_and_go(one, number) for number, one in enumerate([store, other] * 2)))
        assert os.listdir(tmp_path) == [DRAFTS]


async def test_other_files_are_no_objects(tmp_path: Path) -> None:
    async with DirectoryStore(tmp_path) as store:
        await store.create("p/1", b"1")
        (tmp_path / "p" / "A note.txt").write_text("mine")
        (tmp_path / "p" / "2").symlink_to("1")
        (tmp_path / "lost+found").mkdir()
        os.mkfifo(tmp_path / "p" / "3")
        assert await keys(store) == ["p/1"]


def caught_writing(root: Path) -> subprocess.Popen[bytes]:
    """-> a writer that is stopped with a draft half written, or not linked yet."""
    for number in range(100):
        writer = subprocess.Popen([sys.executable, "-c", WRITE, str(root), f"p/{number}"], cwd=ROOT)
        while writer.poll() is None:
            if root.exists() and any(root.glob(f"{DRAFTS}/*")):
                writer.send_signal(signal.SIGSTOP)
                os.waitid(os.P_PID, writer.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
                if not (root / "p" / str(number)).exists():
                    return writer
                writer.send_signal(signal.SIGCONT)
                writer.wait()
    raise AssertionError("no writer was caught")


async def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    writer = caught_writing(tmp_path)
    created = os.listdir(tmp_path / "p") if (tmp_path / "p").exists() else []
    writer.kill()
    writer.wait()
    assert len(os.listdir(tmp_path / DRAFTS)) == 1
    async with DirectoryStore(tmp_path) as store:
        assert os.listdir(tmp_path / DRAFTS) == []
        assert await keys(store) == sorted(f"p/{name}" for name in created)


async def test_what_a_writer_still_writes_is_left(tmp_path: Path) -> None:
    writer = caught_writing(tmp_path)
    async with DirectoryStore(tmp_path) as store:
        assert len(os.listdir(tmp_path / DRAFTS)) == 1
        writer.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(writer.wait) == 0
        assert os.listdir(tmp_path / DRAFTS) == []
        written = (await keys(store))[-1]
        assert await store.get(written) == bytes(LARGE_BYTES)


def tried(folder: Path, script: str) -> list[Any]:
    """What a program says, line by line, that fills a store in `folder`, on which `script` mounts something."""
    command = [*mounted(script), sys.executable, "-c", TRY, str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert not ran.stderr, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_a_full_disk(tmp_path: Path) -> None:
    """Everything that was created is whole, nothing else is left, and it goes on when there is room."""
    (created, whole, left), said = tried(tmp_path, f"mount -t tmpfs -o size=1m none '{tmp_path}'")
    assert whole == [100_000] * created
    assert created > 5
    assert left == 0
    assert said == ["The disk that holds the versions is full.", "Ask the operator to make room on it.", True]


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    (message, action, retryable), *_ = tried(tmp_path, f"mount -t tmpfs -o ro none '{tmp_path}'")
    assert message == "DEVEX may not write the folder of versions (Read-only file system)."
    assert action == "Ask the operator to correct its owner and mode."
    assert not retryable


def test_a_disk_that_cannot_link(tmp_path: Path) -> None:
    _, (message, _, retryable) = tried(tmp_path, f"mkdir '{tmp_path}/p'; mount -t tmpfs none '{tmp_path}/p'")
    assert message == "The file system of the folder of versions cannot link files."
    assert not retryable


async def test_a_disk_that_is_gone_is_not_an_empty_one(tmp_path: Path) -> None:
    root = tmp_path / "versions"
    async with DirectoryStore(root) as store:
        await store.create("c/1", b"1")
        root.rename(tmp_path / "elsewhere")
        for mount_point in (False, True):
            if mount_point:
                root.mkdir()
            for call in (
                lambda: keys(store, "c/"),
                lambda: store.get("c/1"),
                lambda: store.create("c/2", b"2"),
                lambda: store.delete(["c/1"]),
            ):
                with pytest.raises(StoreError, match="is gone") as told:
                    await call()
                assert not told.value.retryable
            assert mount_point is root.exists()
        root.rmdir()
        (tmp_path / "elsewhere").rename(root)
        assert await store.get("c/1") == b"1"
        with pytest.raises(Missing):
            await store.get("c/2")
