"""Versions taken while a program writes, cuts, removes and replaces files by what is none: they end, and are whole."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.workspace import Workspace

TAKES = 6

BUSY = """
import os, random, shutil, stat, sys
root = sys.argv[1]
chance = random.Random(int(sys.argv[2]))
print("runs", flush=True)
while True:
    name = os.path.join(root, "busy" + str(chance.randrange(40)))
    try:
        match chance.randrange(10):
            case 0 | 1 | 2:
                with open(name, "wb") as file:
                    file.write(chance.randbytes(chance.randrange(200_000)))
            case 3:
                os.truncate(name, chance.randrange(1000))
            case 4:
                shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.unlink(name)
            case 5:
                os.symlink("/etc/passwd", name)
            case 6:
                os.mkfifo(name)
            case 7:
                os.makedirs(os.path.join(name, "a", "b"))
                open(os.path.join(name, "a", "b", "c"), "w").write("x" * 1000)
            case 8:
                os.rename(name, os.path.join(root, "busy" + str(chance.randrange(40))))
            case 9:
                os.mknod(name, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends; only root may
    except OSError:
        pass
"""

GROWING = """
import os, sys
with open(os.path.join(sys.argv[1], "growing"), "ab", buffering=0) as file:
    print("runs", flush=True)
    while True:
        file.write(b"x" * 100_000)
        if file.tell() > 300_000_000:
            file.truncate(30_000_000)
            file.seek(30_000_000)
"""


@contextmanager
def program(script: str, *arguments: str) -> Iterator[None]:
    running = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == b"runs\n"
        yield
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


@pytest.mark.parametrize("seed", [1, 2])
async def test_versions_of_files_that_change_while_they_are_read(tmp_path: Path, seed: int) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    for number in range(50):
        (root / f"still{number}").write_text(f"text {number}")
    async with DirectoryStore(tmp_path / "store") as store:
        history = History(store, "r1")
        with ExitStack() as stack:
            workspace = stack.enter_context(Workspace(root))
            cache = stack.enter_context(Cache(tmp_path / "cache.db"))
            with program(BUSY, str(root), str(seed)), program(GROWING, str(root)):
                for _ in range(TAKES):
                    async with asyncio.timeout(60):
                        await take(workspace, history, cache, Label(epoch=1, author="ada", message=""))
                now = await history.open((await history.versions())[0])
                first = await history.open((await history.versions())[-1])
                async with asyncio.timeout(120):
                    await restore(workspace, first, now)  # beside it, too
        assert (await verify(history)).problems == []
        for number, version in enumerate(await history.versions()):
            again = tmp_path / f"again{number}"
            again.mkdir()
            with Workspace(again) as workspace:
                assert (await restore(workspace, await history.open(version), None)).notes == []
            for number in range(50):
                assert (again / f"still{number}").read_text() == f"text {number}"
            for path in again.iterdir():
                assert path.is_symlink() or path.name == "growing" or path.name.startswith(("still", "busy"))
            assert not any("root:" in path.read_text(errors="replace") for path in again.iterdir() if is_plain(path))


def is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.name != "growing"


TURNING = """
import os, stat, sys
root = sys.argv[1]
name, fresh = os.path.join(root, "turning"), os.path.join(root, "fresh")
kinds = [lambda: os.symlink("/etc/passwd", fresh), lambda: os.mkfifo(fresh)]
if os.geteuid() == 0:
    kinds.append(lambda: os.mknod(fresh, 0o666 | stat.S_IFCHR, os.makedev(1, 5)))
print("runs", flush=True)
while True:
    for kind in kinds:
        for make in (kind, lambda: open(fresh, "w").write("text")):
            make()
            os.replace(fresh, name)
"""


async def test_a_file_that_turns_into_what_is_none_between_a_look_and_its_opening(tmp_path: Path) -> None:
    """Nothing waits for a pipe, reads what a link or a device leads to, or fails."""
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "turning").write_text("text")
    seen: set[str] = set()
    async with DirectoryStore(tmp_path / "store") as store, asyncio.timeout(120):
        history = History(store, "r1")
        with Workspace(root) as workspace, Cache(tmp_path / "cache.db") as cache, program(TURNING, str(root)):
            while not seen >= {"file", "link", "told"}:
                taken = await take(workspace, history, cache, Label(epoch=1, author="ada", message=""))
                seen |= {"told" for path, _ in taken.notes if path == "turning"}
                async for path, row in (version := await history.open(taken.version)).walk():
                    if path == "turning" and row.kind == "l":
                        assert row.content == ("/etc/passwd",)
                        seen.add("link")
                    elif path == "turning":
                        assert await version.read(path, 10) in (b"text", b"")
                        seen.add("file")
        assert (await verify(history)).problems == []


async def test_a_file_that_grows_without_end_is_told(tmp_path: Path) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "growing").write_bytes(bytes(30_000_000))
    async with DirectoryStore(tmp_path / "store") as store:
        history = History(store, "r1")
        with Workspace(root) as workspace, Cache(tmp_path / "cache.db") as cache, program(GROWING, str(root)):
            taken = await take(workspace, history, cache, Label(epoch=1, author="ada", message=""))
    assert [path for path, _ in taken.notes] == ["growing"]
    assert "while it was read" in taken.notes[0][1]


async def test_what_came_meanwhile_is_not_removed(tmp_path: Path) -> None:
    """A program writes to what a restore is about to remove: what it wrote stays."""
    root = tmp_path / "workspace"
    root.mkdir()
    async with DirectoryStore(tmp_path / "store") as store:
        history = History(store, "r1")
        with Workspace(root) as workspace, Cache(tmp_path / "cache.db") as cache:
            label = Label(epoch=1, author="ada", message="")
            (root / "kept").write_text("old")
            empty = await take(workspace, history, cache, label)
            for number in range(20):
                (root / f"f{number}").write_bytes(b"old" * 1000)
            now = await history.open((await take(workspace, history, cache, label)).version)
            for number in range(0, 20, 2):
                with open(root / f"f{number}", "r+b") as file:
                    file.write(b"new")
            done = await restore(workspace, await history.open(empty.version), now)
    assert {path for path, _ in done.notes} == {f"f{number}" for number in range(0, 20, 2)}
    assert sorted(path.name for path in root.iterdir()) == sorted(["kept", *(f"f{n}" for n in range(0, 20, 2))])
