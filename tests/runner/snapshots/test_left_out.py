"""What no version holds: what cannot be kept is named, what tools make again is left out."""

import os
import socket

import pytest

from runner.snapshots import scan
from runner.snapshots.layout import CHUNK_BYTES
from tests.runner.snapshots.place import Place


async def test_what_no_version_holds_is_named(place: Place) -> None:
    os.mkfifo(place.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.root / "socket"))
    (place.root / "a").write_text("one")
    commit = await place.take()
    assert {path for path, _ in commit.notes} == {"pipe", "socket"}
    assert commit.files == 1


async def test_files_of_small_holes_are_named_not_read_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 KiB on the disk that pretend to be 400 MiB of data, of which a quarter is read."""
    monkeypatch.setattr(scan, "HOLLOW_MOST_BYTES", 64 << 20)
    for number in range(4):
        with (place.root / f"hollow{number}").open("wb") as file:
            file.truncate(100 << 20)
            for offset in range(0, 100 << 20, CHUNK_BYTES):
                os.pwrite(file.fileno(), b"%d" % offset, offset)
    (place.root / "z").write_bytes(b"data")
    commit = await place.take()
    assert {path for path, _ in commit.notes} == {f"hollow{number}" for number in range(4)}
    version = await place.history.open(commit.version)
    assert await version.read("z", 100) == b"data"


async def test_too_deep_a_folder_is_named(place: Place) -> None:
    deep = place.root
    for _ in range(80):
        deep /= "d"
    deep.mkdir(parents=True)
    (place.root / "a").write_text("one")
    commit = await place.take()
    assert commit.files == 1
    assert [why for _, why in commit.notes if "deep" in why]


async def test_what_tools_make_again_is_left_out_unless_asked_for(place: Place) -> None:
    for name in ("node_modules/x/index.js", "src/__pycache__/a.pyc", ".git/config", "secret.key", "keep.log"):
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).write_text(name)
    version = await place.history.open((await place.take()).version)
    assert {path async for path, row in version.walk() if row.kind == "f"} == {".git/config", "secret.key", "keep.log"}
    (place.root / ".devexignore").write_text("*.key\n!node_modules/\n")
    version = await place.history.open((await place.take()).version)
    files = {path async for path, row in version.walk() if row.kind == "f"}
    assert files == {".git/config", "keep.log", "node_modules/x/index.js", ".devexignore"}


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("*a*b*c", {"abc", "xaxbxc", "d/abcc", "aabbc"}, {"acb", "abcd", "cba", "d/acb"}),
        ("a*", {"a", "ab", "d/ax"}, {"ba", "d/ba"}),
        ("*.test.*", {"x.test.py", "d/.test."}, {"test.py", "x.tests.py"}),
        ("**/d/**/*.[oa]", {"d/x.o", "d/e/f/x.a", "e/d/x.o"}, {"x.o", "d/x.c", "e/x.a"}),
        ("d/*/*f*", {"d/e/xfx"}, {"d/f", "e/d/e/f"}),
        ("[z-a]", set(), {"z", "a"}),
    ],
)
async def test_patterns_mean_what_they_mean_to_git(
    place: Place, pattern: str, left_out: set[str], kept: set[str]
) -> None:
    for name in left_out | kept:
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).touch()
    (place.root / ".devexignore").write_text(pattern)
    version = await place.history.open((await place.take()).version)
    assert {path async for path, row in version.walk() if row.kind == "f"} == kept | {".devexignore"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text", ["*a" * 30 + "*b", "/".join(["*a*a*a*a*b"] * 12), "/".join(["**/a"] * 30) + "/b", "*a*a*b\n" * 9000]
)
async def test_no_pattern_holds_up_the_process_that_saves_everybody(place: Place, text: str) -> None:
    (place.root / ".devexignore").write_text(text)
    deep = place.root / "/".join(["a" * 250] * 12)
    deep.mkdir(parents=True)
    (place.root / "/".join(["a"] * 60)).mkdir(parents=True)
    for number in range(60):
        (deep / f"{number:03}{'a' * 240}").touch()
    assert (await place.take()).files == 61
