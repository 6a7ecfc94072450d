"""Whatever a file system holds comes back as it was, or the version says what does not."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from runner.snapshots.cache import Cache
from runner.snapshots.history import History
from runner.snapshots.layout import CHUNK_BYTES, Commit
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.take import Label, take
from runner.snapshots.writing import Restored
from runner.workspace import Workspace
from tests.runner.snapshots.jobs import Picture, picture, run

NOBODY = 65534
YEAR_1 = -62_135_596_800_000_000_000  # in nanoseconds, as all times here
YEAR_1901 = -2_177_452_800_123_456_789
YEAR_2500 = 16_725_225_600_123_456_789


class Keeper:
    """A workspace, its versions, and a place to restore them to."""

    def __init__(self, stack: AsyncExitStack, store: DirectoryStore, folder: Path) -> None:
        self.root, self.again = folder / "workspace", folder / "again"
        self._stack = stack
        self._store = store
        self._folder = folder
        self.root.mkdir(exist_ok=True)
        self.history = History(store, "r1")
        self.cache = stack.enter_context(Cache(folder / "cache.db"))
        self.workspace = stack.enter_context(Workspace(self.root))

    async def take(self) -> Commit:
        return await take(self.workspace, self.history, self.cache, Label(epoch=1, author="ada", message=""))

    async def restore_again(self, version: str) -> Restored:
        """Elsewhere."""
        self.again.mkdir()
        with Workspace(self.again) as workspace:
            return await restore(workspace, await self.history.open(version), None)

    async def check(self) -> None:
        """All is told or comes back, and there is nothing to tell."""
        taken = await self.take()
        assert taken.notes == ()
        before = picture(self.root)
        assert (await self.restore_again(taken.version)).notes == []
        assert picture(self.again) == before


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(DirectoryStore(tmp_path / "store"))
        yield Keeper(stack, store, tmp_path)


@pytest.fixture
async def on_tmpfs(tmp_path: Path) -> AsyncIterator[Keeper]:
    """Which keeps any time; ext4 ends in 2446."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm")))
        store = await stack.enter_async_context(DirectoryStore(tmp_path / "store"))
        yield Keeper(stack, store, folder)


async def test_names_of_any_bytes(keeper: Keeper) -> None:
    root = os.fsencode(keeper.root)
    every = bytes(byte for byte in range(1, 256) if byte != ord("/"))
    names = [every[at : at + 85] for at in range(0, len(every), 85)]
    names += [
        b"\n",
        b" ",
        b"-rf",
        b"\xff\xfe",
        b"\xed\xb2\x80",
        b"a" * 255,
        "é".encode(),
        "e\u0301".encode(),
        b"\\",
        b"*",
    ]
    names += ["\u202egpj.exe".encode(), "\U0001f600".encode(), b"CON", b"a.", b"\x7f", b".devexignor", b"...", b"..a"]
    for number, name in enumerate(names):
        with open(os.path.join(root, name), "wb") as file:
            file.write(b"%d" % number)
        os.makedirs(os.path.join(root, b"in", name, name))
        os.symlink(name, os.path.join(root, b"in", name, b"link"))
    await keeper.check()


async def test_all_modes_of_files_and_folders(keeper: Keeper) -> None:
    """As root; `test_what_its_owner_has_locked` is for others."""
    (keeper.root / "folders").mkdir()
    for mode in range(0o1000):
        (keeper.root / f"{mode:o}").write_text(f"{mode:o}")
        (keeper.root / f"{mode:o}").chmod(mode)
    for mode in (0o4755, 0o2755, 0o1777, 0o6711, 0o7777, 0o4000, 0):
        (keeper.root / f"file-{mode:o}").write_text("x")
        (keeper.root / f"file-{mode:o}").chmod(mode)
        folder = keeper.root / "folders" / f"{mode:o}"
        folder.mkdir()
        (folder / "inside").write_text("x")
        folder.chmod(mode)
    await keeper.check()


@pytest.mark.parametrize("mtime_ns", [0, -1, YEAR_1901, YEAR_1, YEAR_2500, YEAR_2500 * 4, 1_600_000_000_123_456_789])
async def test_any_time(on_tmpfs: Keeper, mtime_ns: int) -> None:
    keeper = on_tmpfs
    for name in ("file", "empty"):
        (keeper.root / name).write_text(name if name == "file" else "")
        os.utime(keeper.root / name, ns=(mtime_ns, mtime_ns))
    os.symlink("file", keeper.root / "link")
    os.utime(keeper.root / "link", ns=(mtime_ns, mtime_ns), follow_symlinks=False)
    assert (keeper.root / "file").stat().st_mtime_ns == mtime_ns
    await keeper.check()
    (keeper.root / "file").write_text("new")
    taken = await keeper.take()
    assert taken.version == "1-2"
    assert (await keeper.take()).version == "1-2"


async def test_a_time_that_the_disk_cannot_keep_is_told(on_tmpfs: Keeper, tmp_path: Path) -> None:
    keeper = on_tmpfs
    (keeper.root / "file").write_text("x")
    os.utime(keeper.root / "file", ns=(YEAR_2500, YEAR_2500))
    version = (await keeper.take()).version
    target = tmp_path / "on-ext4"
    target.mkdir()
    with Workspace(target) as workspace:
        done = await restore(workspace, await keeper.history.open(version), None)
    kept = (target / "file").stat().st_mtime_ns == YEAR_2500
    assert [path for path, _ in done.notes] == ([] if kept else ["file"])
    assert (target / "file").read_text() == "x"


async def test_links_folders_and_what_is_no_file(keeper: Keeper) -> None:
    root = keeper.root
    for name, target in {
        "dangling": "nowhere", "loop": "loop", "self": ".", "up": "../../..", "etc": "/etc", "shadow": "/etc/shadow",
        "long": "x" * 4095, "bytes": os.fsdecode(b"\xff\n"), "twice": "etc",
    }.items():  # fmt: skip
        os.symlink(target, root / name)
    (root / "a" / "b" / "c").mkdir(parents=True)
    (root / "empty").mkdir()
    before = picture(root)
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    if os.geteuid() == 0:
        os.mknod(root / "device", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends
    taken = await keeper.take()
    assert {path for path, _ in taken.notes} >= {"pipe", "socket"}
    assert taken.files == 0
    await keeper.restore_again(taken.version)
    assert picture(keeper.again) == before


async def test_hard_links_become_files_of_their_own_and_are_told(keeper: Keeper) -> None:
    root = keeper.root
    (root / "one").write_text("shared")
    os.link(root / "one", root / "two")
    taken = await keeper.take()
    assert sorted(path for path, why in taken.notes if "hard links" in why) == ["one", "two"]
    (root / "one").write_text("shared, and changed")  # which changes both
    await keeper.take()
    os.unlink(root / "two")
    (root / "two").write_text("apart")
    apart = await keeper.take()
    assert apart.notes == ()
    os.unlink(root / "two")
    os.link(root / "one", root / "two")
    linked = await keeper.history.open((await keeper.take()).version)
    done = await restore(keeper.workspace, await keeper.history.open(apart.version), linked)
    assert done.notes == []
    assert ((root / "one").read_text(), (root / "two").read_text()) == ("shared, and changed", "apart")
    now = await keeper.history.open((await keeper.take()).version)
    assert (await restore(keeper.workspace, await keeper.history.open(taken.version), now)).notes == []
    assert ((root / "one").read_text(), (root / "two").read_text()) == ("shared", "shared")


async def test_one_name_of_a_linked_file_is_restored_alone(keeper: Keeper) -> None:
    root = keeper.root
    (root / "one").write_text("old")
    old = await keeper.take()
    (root / "one").write_text("new!")
    os.link(root / "one", root / "two")
    now = await keeper.history.open((await keeper.take()).version)
    await restore(keeper.workspace, await keeper.history.open(old.version), now, "one")
    assert ((root / "one").read_text(), (root / "two").read_text()) == ("old", "new!")


async def test_sparse_files(keeper: Keeper) -> None:
    with open(keeper.root / "sparse", "wb") as file:
        file.truncate(2_000_000_001)
        os.pwrite(file.fileno(), b"in the middle", 1_234_567_890)
    with open(keeper.root / "all-hole", "wb") as file:
        file.truncate(CHUNK_BYTES * 100)
    taken = await keeper.take()
    assert (await keeper.restore_again(taken.version)).notes == []
    assert (keeper.again / "sparse").stat().st_size == 2_000_000_001
    assert (keeper.again / "sparse").stat().st_blocks * 512 <= 2 * CHUNK_BYTES
    with open(keeper.again / "sparse", "rb") as file:
        assert os.pread(file.fileno(), 20, 1_234_567_889) == b"\0in the middle" + bytes(6)


async def test_a_sparse_file_counts_as_what_it_takes(keeper: Keeper) -> None:
    """Restored into a workspace that has room for what is in it, not for its holes."""
    from runner.workspace import Usage

    with open(keeper.root / "sparse", "wb") as file:
        file.truncate(1 << 30)
    taken = await keeper.take()
    (keeper.root / "sparse").unlink()
    now = await keeper.history.open((await keeper.take()).version)
    with Workspace(keeper.root, None, Usage(1 << 20, 100)) as small:
        await restore(small, await keeper.history.open(taken.version), now)
    assert (keeper.root / "sparse").stat().st_size == 1 << 30


async def test_ten_thousand_folders_deep(keeper: Keeper) -> None:
    """Deeper than any path: what lies that deep is named, the rest comes back."""
    (keeper.root / "a").write_text("kept")
    here = os.open(keeper.root, os.O_PATH)
    for _ in range(10_000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_PATH, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    taken = await keeper.take()
    assert len(taken.notes) == 1
    assert "deep" in taken.notes[0][1]
    done = await keeper.restore_again(taken.version)
    assert done.notes == []
    assert (keeper.again / "a").read_text() == "kept"
    keeper.workspace.remove("d")


async def test_what_was_ignored_and_is_no_more(keeper: Keeper) -> None:
    root = keeper.root
    (root / "node_modules" / "x").mkdir(parents=True)
    (root / "node_modules" / "x" / "index.js").write_text("installed")
    (root / "a").write_text("one")
    without = await keeper.take()
    (root / ".devexignore").write_text("!node_modules/\n")
    with_it = await keeper.take()
    (root / "node_modules" / "x" / "index.js").write_text("patched")
    now = await keeper.history.open((await keeper.take()).version)
    await restore(keeper.workspace, await keeper.history.open(with_it.version), now)
    assert (root / "node_modules" / "x" / "index.js").read_text() == "installed"
    now = await keeper.history.open((await keeper.take()).version)
    await restore(keeper.workspace, await keeper.history.open(without.version), now)
    assert not (root / "node_modules").exists()  # it is in the version `now`
    (root / "node_modules").mkdir()
    (root / "node_modules" / "y").write_text("made meanwhile")
    now = await keeper.history.open((await keeper.take()).version)
    done = await restore(keeper.workspace, await keeper.history.open(with_it.version), now)
    assert done.notes == []
    assert (root / "node_modules" / "x" / "index.js").read_text() == "installed"
    assert (root / "node_modules" / "y").read_text() == "made meanwhile"


async def test_what_is_only_told_makes_a_version(keeper: Keeper) -> None:
    """Nobody may believe that it is in the version before."""
    (keeper.root / "a").write_text("x")
    assert (await keeper.take()).version == "1-1"
    os.mkfifo(keeper.root / "pipe")
    taken = await keeper.take()
    assert (taken.version, [path for path, _ in taken.notes]) == ("1-2", ["pipe"])
    assert (await keeper.take()).version == "1-2"


# by somebody who is not root, as in pods


@pytest.fixture
def nobodys() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def as_nobody(script: str, folder: Path) -> None:
    become = (
        f"import os, sys\nfrom pathlib import Path\nif os.geteuid() == 0: os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    )
    subprocess.run([sys.executable, "-c", become + script, str(folder)], check=True, timeout=60)


LOCK = """
root = Path(sys.argv[1]) / "workspace"
root.mkdir(exist_ok=True)
for name in ("readonly", "readonly/inner", "locked", "open"):
    (root / name).mkdir(exist_ok=True)
    (root / name / "file").write_text("in " + name)
    (root / name / "link").symlink_to("file")
(root / "secret").write_text("nobody reads this")
for name, mode in (("secret", 0), ("readonly/inner", 0o555), ("readonly", 0o555), ("locked", 0)):
    (root / name).chmod(mode)
(root / "readonly/file").chmod(0o444)
"""

CHANGE = """
root = Path(sys.argv[1]) / "workspace"
for name in ("readonly", "readonly/inner"):
    (root / name).chmod(0o755)
for name in ("readonly/inner/file", "readonly/file"):
    (root / name).unlink()
    (root / name).write_text("changed")
(root / "readonly/inner/more").write_text("more")
for name in ("readonly/inner", "readonly"):
    (root / name).chmod(0o555)
"""


async def test_what_its_owner_has_locked(nobodys: Path) -> None:
    """Read-only folders are restored, and are read-only again; what cannot be read is told."""
    root = nobodys / "workspace"
    store = spec_of(nobodys / "store")
    job = {"store": store, "workspace": str(root), "cache": str(nobodys / "cache.db"), "epoch": 1}
    job |= {"uid": NOBODY} if os.geteuid() == 0 else {}
    as_nobody(LOCK, nobodys)
    readable = _readable(root)
    taken = await run({**job, "do": "take"})
    assert taken is not None
    assert {path for path, _ in taken["notes"]} == {"locked", "secret"}
    as_nobody(CHANGE, nobodys)
    assert await run({**job, "do": "take"}) is not None
    done = await run({**job, "do": "restore", "version": taken["version"], "from_head": True})
    assert done is not None
    assert done["notes"] == []
    assert _readable(root) == readable
    as_nobody("os.mkdir(sys.argv[1] + '/again')", nobodys)
    again = {**job, "workspace": str(nobodys / "again"), "cache": str(nobodys / "again.db"), "do": "restore"}
    for _ in range(2):  # the second as after one that was cut off at its very end
        done = await run({**again, "version": taken["version"]})
        assert done is not None
        assert done["notes"] == []
        assert _readable(nobodys / "again") == readable
    for path in (root, nobodys / "again"):
        subprocess.run(["chmod", "-R", "u+rwX", str(path)], check=True)


def _readable(root: Path) -> Picture:
    return {path: shown for path, shown in picture(root).items() if not path.startswith((b"locked", b"secret"))}
