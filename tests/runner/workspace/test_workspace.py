"""The ordinary work of a workspace, and what the disk or another writer does in between."""

import hashlib
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.workspace import ABSENT, Usage, Workspace, apply_splices
from runner.workspace.quota import Quota


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def refusal(call: object, *arguments: object, **options: object) -> DevexError:
    with pytest.raises(DevexError) as refused:
        call(*arguments, **options)  # type: ignore[operator]
    return refused.value


def test_write_and_read(workspace: Workspace, root: Path) -> None:
    workspace.mkdir("a/b", parents=True)
    written = workspace.write_atomic("a/b/f", b"one")
    assert written == workspace.stat("a/b/f")
    assert workspace.read("a/b/f", 3) == b"one"
    assert workspace.digest("a/b/f") == sha(b"one")
    assert refusal(workspace.read, "a/b/f", 2).status == 413
    assert stat.S_IMODE((root / "a/b/f").stat().st_mode) == 0o644
    assert stat.S_IMODE((root / "a/b").stat().st_mode) == 0o755
    assert os.listdir(root / "a/b") == ["f"]


def test_mode_is_kept_without_set_id_bits(workspace: Workspace, root: Path) -> None:
    (root / "run.sh").write_text("old")
    (root / "run.sh").chmod(0o4755)
    workspace.write_atomic("run.sh", b"new")
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o755


def test_hard_links_keep_their_content_in_common(workspace: Workspace, root: Path) -> None:
    (root / "a").write_text("long content before")
    (root / "b").hardlink_to(root / "a")
    workspace.write_atomic("a", b"short", expect=sha(b"long content before"))
    assert (root / "b").read_bytes() == b"short"
    workspace.write_atomic("b", b"")
    assert (root / "a").read_bytes() == b""
    assert sorted(os.listdir(root)) == ["a", "b"]


def test_preconditions(workspace: Workspace, root: Path) -> None:
    assert refusal(workspace.write_atomic, "f", b"x", expect=sha(b"")).status == 412
    workspace.write_atomic("f", b"1", expect=ABSENT)
    assert refusal(workspace.write_atomic, "f", b"2", expect=ABSENT).status == 412
    assert refusal(workspace.write_atomic, "f", b"2", expect=sha(b"0")).status == 412
    workspace.write_atomic("f", b"2", expect=sha(b"1"))
    assert (root / "f").read_bytes() == b"2"
    assert os.listdir(root) == ["f"]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_change_between_comparing_and_replacing_survives(root: Path, workspace: Workspace, replaced: bool) -> None:
    """The draft's rename is the only moment that counts: what came out of it is compared once more."""
    (root / "f").write_bytes(b"base")
    with workspace.draft("f") as draft:
        draft.write(b"ours")
        current = draft._current()
        assert current is not None
        draft._compare(current, sha(b"base"))
        if replaced:
            (root / "g").write_bytes(b"theirs")
            (root / "g").rename(root / "f")
        else:
            (root / "f").write_bytes(b"theirs")
        assert refusal(draft._take_place, current, sha(b"base")).status == 412
    assert (root / "f").read_bytes() == b"theirs"
    assert os.listdir(root) == ["f"]


def test_a_file_made_before_one_is_created_in_its_place_survives(root: Path, workspace: Workspace) -> None:
    with workspace.draft("f") as draft:
        draft.write(b"ours")
        (root / "f").write_bytes(b"theirs")
        assert refusal(draft.commit, expect=ABSENT).status == 412
    assert (root / "f").read_bytes() == b"theirs"


def test_move(workspace: Workspace, root: Path) -> None:
    workspace.mkdir("d/e", parents=True)
    workspace.write_atomic("d/e/f", b"1")
    workspace.write_atomic("g", b"2")
    assert refusal(workspace.move, "g", "d/e/f").code == "exists"
    workspace.move("g", "d/e/f", overwrite=True)
    assert (root / "d/e/f").read_bytes() == b"2"
    assert refusal(workspace.move, "d", "d/e/d").code == "inside_itself"
    assert refusal(workspace.move, "none", "x").code == "not_found"
    assert refusal(workspace.move, "d", "nowhere/d").code == "not_found"
    workspace.move("d", "h")
    assert workspace.exists("h/e/f")
    assert not workspace.exists("d")


def test_mkdir(workspace: Workspace) -> None:
    assert workspace.mkdir("a")
    assert refusal(workspace.mkdir, "a").code == "exists"
    assert not workspace.mkdir("a", exist_ok=True)
    assert refusal(workspace.mkdir, "b/c").code == "not_found"
    workspace.write_atomic("f", b"")
    assert refusal(workspace.mkdir, "f", exist_ok=True).status == 409
    assert refusal(workspace.mkdir, "f/g", parents=True).status == 409


def test_remove(workspace: Workspace, root: Path) -> None:
    workspace.mkdir("a/b/c", parents=True)
    for path in ("a/f", "a/b/f", "a/b/c/f"):
        workspace.write_atomic(path, b"x")
    (root / "a/b").chmod(0o500)
    workspace.remove("a/f")
    workspace.remove("a")
    assert not os.listdir(root)
    assert refusal(workspace.remove, "a").status == 404
    assert refusal(workspace.remove, "").status == 400


def test_trees_deeper_than_any_path(workspace: Workspace, root: Path) -> None:
    """10,000 levels: listed, cut off with a name in bounded time, deleted."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(10_000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    walk = workspace.walk()
    assert len(list(walk)) == 65
    assert walk.cut == "depth"
    assert refusal(workspace.usage).code == "too_deep"
    workspace.remove("d")
    assert not os.listdir(root)


def test_usage_counts_blocks_once_and_drafts_too(workspace: Workspace, root: Path) -> None:
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    (root / "full").write_bytes(b"x" * 100_000)
    (root / "again").hardlink_to(root / "full")
    before = workspace.usage()
    assert before.entries == 3
    assert 100_000 <= before.disk_bytes < 300_000
    (root / ".devex-0123456789abcdef.part").write_bytes(b"x" * 1_000_000)
    assert workspace.usage().disk_bytes > before.disk_bytes + 900_000
    assert {entry.name for entry in workspace.list_dir("")} == {"sparse", "full", "again"}


def test_walk_ends_at_its_bound(workspace: Workspace, root: Path) -> None:
    for number in range(50):
        (root / f"d{number}").mkdir()
    walk = workspace.walk(entries=20)
    assert sum(len(entries) for _, entries in walk) <= 20
    assert walk.cut == "entries"


def test_quota(workspace: Workspace, root: Path) -> None:
    quota = Quota(workspace.usage, Usage(1_000_000, 3))
    quota.claim(600_000, 1)
    (root / "f").write_bytes(b"x" * 600_000)
    assert refusal(quota.claim, 600_000).code == "quota"
    (root / "f").unlink()
    quota.claim(600_000)  # measured again before anything is refused
    for name in "abc":
        (root / name).touch()
    assert quota.used().entries == 3
    assert refusal(quota.claim, 0, 1).status == 507
    quota.claim(-5)


def test_what_is_written_keeps_to_the_quota(root: Path) -> None:
    with Workspace(root, limit=Usage(1_000_000, 1)) as workspace:
        workspace.write_atomic("f", b"kept")
        assert refusal(workspace.write_atomic, "g", b"").code == "quota"
        assert refusal(workspace.write_atomic, "f", b"x" * 1_100_000).code == "quota"
        assert workspace.read("f", 10) == b"kept"
        workspace.write_atomic("f", b"less")


def test_sweep_leaves_uploads_to_be_continued(workspace: Workspace, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / ".devex-0123456789abcdef.part").touch()
    os.utime(root / "d" / ".devex-0123456789abcdef.part", ns=(0, time.time_ns() - 2 * 3_600 * 10**9))
    (root / "d" / ".devex-fedcba9876543210.part").touch()  # being written
    (root / "d" / ".devex-u12345678.part").touch()
    (root / ".devex-u87654321.part").touch()
    os.utime(root / ".devex-u87654321.part", (0, 0))
    (root / ".devex-mine").touch()
    assert workspace.sweep() == 2
    assert sorted(os.listdir(root)) == [".devex-mine", "d"]
    assert sorted(os.listdir(root / "d")) == [".devex-fedcba9876543210.part", ".devex-u12345678.part"]


def test_files_belong_to_the_sandbox(tmp_path: Path) -> None:
    """Only root can give files away; the machines of tests and CI are."""
    assert os.geteuid() == 0
    owner = (200_123, 200_123)
    (tmp_path / "foreign").write_text("root's")
    with Workspace(tmp_path, owner) as workspace:
        workspace.mkdir("a/b", parents=True)
        workspace.write_atomic("a/b/f", b"1")
        workspace.write_atomic("a/b/f", b"2")
        workspace.write_atomic("foreign", b"3")
        workspace.symlink("l", b"target")
        for path in ("a", "a/b", "a/b/f", "foreign", "l"):
            assert workspace.stat(path).uid == owner[0], path
        (tmp_path / "root").write_text("secret")
        (tmp_path / "linked").hardlink_to(tmp_path / "root")
        assert refusal(workspace.read, "linked", 100).code == "no_permission"
        assert refusal(workspace.write_atomic, "linked", b"x").code == "no_permission"
    assert (tmp_path / "root").read_text() == "secret"


def test_files_belong_to_who_owns_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "ws").mkdir()
    os.chown(tmp_path / "ws", 200_123, 200_124)
    with Workspace(tmp_path / "ws") as workspace:
        workspace.write_atomic("f", b"")
        assert workspace.stat("f").uid == 200_123
        assert (tmp_path / "ws" / "f").stat().st_gid == 200_124


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_full_disk_loses_nothing(small_disk: Path) -> None:
    with Workspace(small_disk) as workspace:
        workspace.write_atomic("f", b"kept")
        (small_disk / "linked").hardlink_to(small_disk / "f")
        for path in ("g", "f"):
            error = refusal(workspace.write_atomic, path, b"x" * 2_000_000)
            assert (error.code, error.status, error.retryable) == ("disk_full", 507, True)
        # a hard-linked file is written in place: room for draft and copy is needed, and missing
        assert refusal(workspace.write_atomic, "f", b"x" * 700_000).code == "disk_full"
        assert workspace.read("f", 10) == b"kept"
        assert sorted(os.listdir(small_disk)) == ["f", "linked"]


def test_other_file_systems_are_outside(workspace: Workspace, root: Path) -> None:
    (root / "mnt").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "mnt"], check=True)
    try:
        (root / "mnt" / "f").touch()
        assert refusal(workspace.read, "mnt/f", 10).code == "outside"
        assert refusal(workspace.write_atomic, "mnt/g", b"").code == "outside"
    finally:
        subprocess.run(["umount", root / "mnt"], check=True)


def test_splices() -> None:
    assert apply_splices(b"hello world", [(0, 1, b"J"), (5, 0, b","), (6, 5, b"there")]) == b"Jello, there"
    for wrong in ([(3, 0, b""), (1, 0, b"")], [(0, 99, b"")], [(0, -1, b"")], [(-1, 0, b"")]):
        assert refusal(apply_splices, b"abc", wrong).code == "bad_splices"
