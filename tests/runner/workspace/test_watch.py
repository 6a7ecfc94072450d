"""The watcher's picture of the tree equals the disk's, whatever is lost, moved or raced on the way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.workspace import Workspace
from runner.workspace.index import MAX_WATCHES
from runner.workspace.watch import TreeDelta, TreeWatcher

DEADLINE_S = 60


class Mirror:
    """A tab that shows every folder: applies the deltas, lists again when told to."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folders: dict[str, dict[str, tuple[object, ...]]] = {}
        self.rev = 0
        self.deltas: list[TreeDelta] = []
        self.changed: set[str] = set()
        self.news = asyncio.Event()

    def on_delta(self, delta: TreeDelta) -> None:
        assert delta.rev == self.rev + 1
        self.rev = delta.rev
        self.deltas.append(delta)
        if delta.resync:
            self.folders = listed(self.workspace)
        for folder, rows, removed in delta.ops:
            entries = self.folders.setdefault(folder, {})
            for name in removed:
                entries.pop(name)
            entries |= {str(row[0]): tuple(row[1:3]) for row in rows}
        self.news.set()

    def on_changed(self, path: str) -> None:
        self.changed.add(path)
        self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def exact(self) -> bool:
        truth = listed(self.workspace)
        return {folder: entries for folder, entries in self.folders.items() if folder in truth} == truth


def listed(workspace: Workspace) -> dict[str, dict[str, tuple[object, ...]]]:
    return {
        folder: {entry.name: tuple(entry.row()[1:3]) for entry in entries}
        for folder, entries in workspace.walk(skip={"node_modules"})
    }


@pytest.fixture
def mirror(workspace: Workspace) -> Mirror:
    return Mirror(workspace)


def watching(mirror: Mirror, max_watches: int = MAX_WATCHES) -> TreeWatcher:
    return TreeWatcher(
        mirror.workspace, on_delta=mirror.on_delta, on_changed=mirror.on_changed, max_watches=max_watches
    )


async def test_follows_files_and_folders(root: Path, mirror: Mirror) -> None:
    (root / "old").mkdir()
    (root / "old" / "f").write_text("1")
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        (root / "a.txt").write_text("hello")
        await mirror.until(lambda: mirror.folders[""].get("a.txt") == ("f", 5))
        assert "a.txt" in mirror.changed
        (root / "old").rename(root / "new")
        await mirror.until(lambda: "new" in mirror.folders and "f" in mirror.folders["new"])
        assert "old/f" in mirror.changed
        (root / "new" / "g").write_text("2")  # the moved folder is still watched, under its new name
        await mirror.until(lambda: "g" in mirror.folders["new"])
        (root / "a.txt").unlink()
        await mirror.until(lambda: "a.txt" not in mirror.folders[""])
        assert mirror.exact()


async def test_folder_moved_between_parents_and_replaced(root: Path, mirror: Mirror) -> None:
    (root / "z" / "deep").mkdir(parents=True)
    (root / "a").mkdir()
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        (root / "z" / "deep").rename(root / "a" / "deep")
        (root / "z" / "deep").mkdir()
        (root / "z" / "deep" / "x").touch()
        (root / "a" / "deep" / "y").touch()
        await mirror.until(mirror.exact)
        (root / "a" / "deep" / "later").touch()
        (root / "z" / "deep" / "later").touch()
        await mirror.until(mirror.exact)


async def test_same_size_rewrite_hints_at_the_file(root: Path, mirror: Mirror) -> None:
    (root / "f").write_text("aaaa")
    stamp = os.stat(root / "f")
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        (root / "f").write_text("bbbb")
        os.utime(root / "f", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        await mirror.until(lambda: "f" in mirror.changed)


async def test_folders_filled_while_they_are_discovered(root: Path, mirror: Mirror) -> None:
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        make = "import os\nfor i in range(200):\n os.makedirs(f'{i}/b/c')\n"
        make += " for j in range(10): open(f'{i}/b/c/{j}', 'w').close()"
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", make], cwd=root, check=True)
        await mirror.until(mirror.exact)
        assert sum(len(entries) for entries in mirror.folders.values()) == 2600


async def test_overflow_is_made_good(root: Path, mirror: Mirror) -> None:
    (root / "d").mkdir()
    (root / "e").mkdir()
    async with watching(mirror) as watcher:
        await mirror.until(lambda: mirror.rev == 1)
        for number in range(20_000):  # this loop blocks the watcher, so the kernel's queue of 16,384 overflows
            (root / "d" / str(number % 2_000)).touch()
        (root / "e" / "lost").touch()  # its event finds no room
        await mirror.until(mirror.exact)
        assert not watcher.degraded


@pytest.mark.parametrize("max_watches", [0, 2])
async def test_polls_what_it_cannot_watch(root: Path, mirror: Mirror, max_watches: int) -> None:
    for name in "abc":
        (root / name).mkdir()
    async with watching(mirror, max_watches=max_watches) as watcher:
        await mirror.until(lambda: mirror.rev == 1)
        assert watcher.degraded
        for name in "abc":
            (root / name / "f").touch()
        await mirror.until(mirror.exact)


async def test_excluded_folders_cost_nothing(root: Path, mirror: Mirror) -> None:
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        (root / "node_modules" / "p").mkdir(parents=True)
        for number in range(500):
            (root / "node_modules" / "p" / str(number)).touch()
        (root / "last").touch()
        await mirror.until(lambda: "last" in mirror.folders[""])
        assert mirror.folders[""]["node_modules"] == ("d", 0)
        assert not any("/" in folder or folder == "node_modules" for folder in mirror.folders)
        assert not any(path.startswith("node_modules/") for path in mirror.changed)


async def test_saves_show_the_file_and_not_the_draft(workspace: Workspace, mirror: Mirror) -> None:
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        for number in range(50):
            await asyncio.to_thread(workspace.write_atomic, "f", b"x" * number)
        await mirror.until(mirror.exact)
        names = {row[0] for delta in mirror.deltas for _, rows, _ in delta.ops for row in rows}
        assert names == mirror.changed == {"f"}


async def test_a_large_change_asks_to_list_again(root: Path, mirror: Mirror) -> None:
    (root / "d").mkdir()
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        for number in range(6_000):
            (root / "d" / str(number)).touch()
        await mirror.until(mirror.exact)
        assert any(delta.resync for delta in mirror.deltas[1:])


async def test_links_are_not_followed(root: Path, tmp_path: Path, mirror: Mirror) -> None:
    (tmp_path / "outside").mkdir()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to(".")
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        (tmp_path / "outside" / "secret").touch()
        (root / "last").touch()
        await mirror.until(lambda: "last" in mirror.folders[""])
        assert set(mirror.folders) == {""}
        assert mirror.folders[""]["link"][0] == "l"


async def test_odd_names_arrive_whole(root: Path, mirror: Mirror) -> None:
    names = ["new\nline", "\u202egnp.exe", "bad\udcff", "-rf", "<b>"]
    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        for name in names:
            (root / name).touch()
        await mirror.until(mirror.exact)
        rows = {str(row[0]): row for delta in mirror.deltas for _, changed, _ in delta.ops for row in changed}
        assert rows["new\nline"][3] == "new\\nline"
        assert rows["bad\udcff"][3] == "bad\\xff"
        assert len(rows["-rf"]) == 3


async def test_paths_longer_than_any_are_passed_over(root: Path, mirror: Mirror) -> None:
    def nest() -> None:
        here = os.open(root, os.O_RDONLY)
        for _ in range(20):
            os.mkdir("n" * 255, dir_fd=here)
            deeper = os.open("n" * 255, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.close(here)

    async with watching(mirror):
        await mirror.until(lambda: mirror.rev == 1)
        await asyncio.to_thread(nest)
        (root / "f").write_text("told")
        await mirror.until(lambda: "f" in mirror.folders[""])
        (root / "g").write_text("told as well")
        await mirror.until(lambda: "g" in mirror.folders[""])


async def test_ends_in_the_middle_of_work(root: Path, mirror: Mirror) -> None:
    for number in range(300):
        (root / str(number)).mkdir()
    async with watching(mirror):
        pass
    (root / "late").touch()
    assert mirror.rev == 0
