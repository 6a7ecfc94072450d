"""A program that swaps, links and makes odd things while we work must never make us touch anything outside."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.workspace import Workspace, access, drafts
from runner.workspace.archive import zip_pieces
from runner.workspace.search import file_paths, search_text

SECRET = b"canary-7f3a"
RACES = 1_500  # of each verb; about a second in all

Verb = Callable[[Workspace, str], object]

# what can be done with a file, and with a folder
ON_FILE: dict[str, Verb] = {
    "read": lambda w, p: w.read(p, 1_000),
    "digest": lambda w, p: w.digest(p),
    "write": lambda w, p: w.write_atomic(p, b"overwritten"),
}
ON_FOLDER: dict[str, Verb] = {
    "read": lambda w, p: w.read(f"{p}/secret", 1_000),
    "write": lambda w, p: w.write_atomic(f"{p}/secret", b"overwritten"),
    "create": lambda w, p: w.write_atomic(f"{p}/new", b"created"),
    "stat": lambda w, p: w.stat(f"{p}/secret"),
    "list": lambda w, p: [entry.name for entry in w.list_dir(p)],
    "mkdir": lambda w, p: w.mkdir(f"{p}/made"),
    "mkdir parents": lambda w, p: w.mkdir(f"{p}/made/below", parents=True),
    "remove": lambda w, p: w.remove(f"{p}/secret"),
    "move out": lambda w, p: w.move(f"{p}/secret", "taken"),
    "move in": lambda w, p: w.move("mine", f"{p}/mine"),
    "read link": lambda w, p: w.read_link(f"{p}/link"),
    "symlink": lambda w, p: w.symlink(f"{p}/planted", b"x"),
    "zip": lambda w, p: b"".join(zip_pieces(w, p, 1 << 20)),
    "upload": lambda w, p: w.draft(f"{p}/big", "u12345678").discard(),
}


@pytest.fixture(params=[access.openat2, access.open_stepwise], ids=["openat2", "stepwise"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to open a path are held to all of this."""
    monkeypatch.setattr(access, "open_beneath", request.param)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Must look afterwards exactly as before."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(SECRET)
    (folder / "link").symlink_to("secret")
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before


def snapshot(folder: Path) -> list[tuple[str, int, bytes]]:
    return sorted(
        (path.name, path.lstat().st_mode, b"" if path.is_symlink() else path.read_bytes()) for path in folder.iterdir()
    )


def attempt(verb: Verb, workspace: Workspace, path: str) -> object:
    try:
        return verb(workspace, path)
    except DevexError as error:
        if error.status >= 500:
            raise
        return None


@pytest.mark.parametrize("verb", ON_FILE)
def test_link_in_place_of_a_file(workspace: Workspace, root: Path, outside: Path, verb: str) -> None:
    for target in (outside / "secret", Path("/proc/self/environ"), Path("/proc/self/root/etc/passwd")):
        (root / "f").unlink(missing_ok=True)
        (root / "f").symlink_to(target)
        with pytest.raises(DevexError) as refusal:
            ON_FILE[verb](workspace, "f")
        assert refusal.value.code == "symlink"
        assert (root / "f").is_symlink()


@pytest.mark.parametrize("verb", ON_FOLDER)
def test_link_in_place_of_a_folder(workspace: Workspace, root: Path, outside: Path, verb: str) -> None:
    (root / "d").symlink_to(outside)
    (root / "mine").touch()
    if verb in {"zip", "search"}:  # they pass over what they cannot enter
        assert SECRET not in repr(ON_FOLDER[verb](workspace, "d")).encode()
        return
    with pytest.raises(DevexError) as refusal:
        ON_FOLDER[verb](workspace, "d")
    assert refusal.value.status in {403, 404, 409}


def test_links_are_removed_and_moved_themselves(workspace: Workspace, root: Path, outside: Path) -> None:
    (root / "f").symlink_to(outside / "secret")
    (root / "d").symlink_to(outside)
    assert workspace.stat("d").kind == "l"
    assert workspace.read_link("f") == os.fsencode(outside / "secret")
    workspace.move("d", "e")
    workspace.remove("e")
    workspace.remove("f")
    assert not os.listdir(root)


def test_deleting_a_folder_does_not_enter_links(workspace: Workspace, root: Path, outside: Path) -> None:
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "l").symlink_to(outside)
    (root / "d" / "e" / "l").symlink_to(outside)
    workspace.remove("d")


class Racer:
    """Swaps two names without pause, each time atomically."""

    def __init__(self, root: Path, one: str, other: str) -> None:
        self._folder = os.open(root, os.O_RDONLY)
        self._names = (one.encode(), other.encode())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._race)

    def _race(self) -> None:
        one, other = self._names
        while not self._stop.is_set():
            try:
                access.rename(self._folder, one, self._folder, other, access.RENAME_EXCHANGE)
            except FileNotFoundError:
                continue  # what we deleted is put back by the test

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._folder)


def test_race_of_a_file_and_a_link(workspace: Workspace, root: Path, outside: Path) -> None:
    (root / "f").write_bytes(b"mine")
    (root / "trap").symlink_to(outside / "secret")
    read = 0
    with Racer(root, "f", "trap"):
        for _ in range(RACES):
            for verb in ON_FILE.values():
                got = attempt(verb, workspace, "f")
                assert got != SECRET
                read += got is not None
    assert read  # some got through to our own file


def test_race_of_a_folder_and_a_link(workspace: Workspace, root: Path, outside: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "secret").write_bytes(b"mine")
    (root / "trap").symlink_to(outside)
    with Racer(root, "d", "trap"):
        for _ in range(RACES // 10):
            (root / "mine").touch()
            for name, verb in ON_FOLDER.items():
                got = attempt(verb, workspace, "d")
                assert SECRET not in repr(got).encode(), name


def test_race_against_deleting_a_tree(workspace: Workspace, root: Path, outside: Path) -> None:
    for _ in range(RACES // 15):
        (root / "top" / "d" / "e").mkdir(parents=True)
        (root / "top" / "d" / "e" / "secret").touch()
        (root / "top" / "trap").symlink_to(outside)
        with Racer(root / "top", "d", "trap"):
            attempt(lambda w, p: w.remove(p), workspace, "top")
        attempt(lambda w, p: w.remove(p), workspace, "top")
    assert not os.listdir(root)


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
def test_what_is_no_file_neither_hangs_nor_is_replaced(workspace: Workspace, root: Path, kind: str) -> None:
    path = root / "x"
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            listener.bind(os.path.relpath(path))
        elif kind == "device":
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        else:
            path.mkdir()
        before = path.lstat().st_ino
        for verb in ON_FILE.values():
            with pytest.raises(DevexError) as refusal:
                verb(workspace, "x")
            assert refusal.value.status == 409
        assert path.lstat().st_ino == before
        assert workspace.list_dir("")[0].stat.kind == ("d" if kind == "folder" else "o")
        assert file_paths(workspace) == []
        b"".join(zip_pieces(workspace, "", 1 << 20))
        workspace.remove("x")
    assert not os.listdir(root)


HOLDER = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)  # the kernel asks to give it back
held = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lease_holds_nobody_up(workspace: Workspace, root: Path) -> None:
    """The kernel lets its holder keep every open waiting for 45 s, of each file again and again."""
    (root / "x").write_bytes(b"needle")
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLDER, root / "x"], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(DevexError) as refusal:
            workspace.read("x", 10)
        assert (refusal.value.code, refusal.value.retryable) == ("busy", True)
        assert search_text(workspace, "needle").matches == []
        b"".join(zip_pieces(workspace, "", 1 << 20))
        holder.communicate()
    assert workspace.read("x", 10) == b"needle"


def test_a_draft_that_was_tampered_with(workspace: Workspace, root: Path, outside: Path) -> None:
    """The program sees the draft's name: it may spoil its own file, nothing else."""
    with workspace.draft("f") as draft:
        draft.write(b"ours")
        (name,) = os.listdir(root)
        assert drafts.is_draft(name)
        (root / name).unlink()
        (root / name).symlink_to(outside / "secret")
        draft.commit()
    assert (root / "f").is_symlink()
    (root / ".devex-u12345678.part").symlink_to(outside / "secret")
    with pytest.raises(DevexError):
        workspace.draft("g", "u12345678")
    (root / ".devex-u12345678.part").unlink()
    (root / ".devex-u12345678.part").hardlink_to(outside / "secret")
    with pytest.raises(DevexError):
        workspace.draft("g", "u12345678")


EVIL_NAMES = [
    *("-rf", "--help", " ", "a b", "$(touch x)", "`id`", "; rm", "&", "|", "'", '"', "\\", "..\\..\\x", "...", "~"),
    *("new\nline", "\r", "tab\t", "\x1b[31mred", "\x7f", "bell\a", "\u202egnp.exe", "\u2066x\u2069", "zero\u200b"),
    *("<img src=x onerror=alert(1)>", "&lt;", "e\u0301", "\udcff\udcfe", "%2e%2e", "%00", "x" * 255, "é" * 127, "NUL"),
]


def test_every_name_works_with_every_verb(workspace: Workspace, root: Path) -> None:
    workspace.mkdir("d")
    for name in EVIL_NAMES:
        workspace.write_atomic(name, b"needle")
        workspace.mkdir(f"d/{name}")
        assert workspace.read(name, 10) == b"needle"
    assert {entry.name for entry in workspace.list_dir("")} == {*EVIL_NAMES, "d"}
    assert sorted(file_paths(workspace)) == sorted(EVIL_NAMES)
    assert {match.path for match in search_text(workspace, "needle").matches} == set(EVIL_NAMES)
    b"".join(zip_pieces(workspace, "", 1 << 20))
    for name in EVIL_NAMES:
        workspace.move(name, f"d/{name}/{name}")
        workspace.remove(f"d/{name}")
    assert os.listdir(root / "d") == []
