import io
import os
import stat
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from runner.errors import DevexError
from runner.workspace import Workspace, archive, tree
from runner.workspace.archive import PIECE_BYTES, check_size, zip_pieces


def unzipped(workspace: Workspace, path: str = "") -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(zip_pieces(workspace, path, 1 << 30))))


def test_files_folders_links_modes_and_times(workspace: Workspace, root: Path) -> None:
    (root / "d" / "empty").mkdir(parents=True)
    (root / "d" / "run.sh").write_bytes(b"#!/bin/sh\n" * 100)
    (root / "d" / "run.sh").chmod(0o750)
    (root / "d" / "link").symlink_to("/etc/passwd")
    (root / "d" / "old").touch()
    os.utime(root / "d" / "old", (0, 0))
    os.mkfifo(root / "d" / "pipe")
    sent = unzipped(workspace, "d")
    assert sent.testzip() is None
    assert sorted(sent.namelist()) == ["empty/", "link", "old", "run.sh"]
    assert sent.read("run.sh") == b"#!/bin/sh\n" * 100
    assert sent.read("link") == b"/etc/passwd"
    assert stat.S_ISLNK(sent.getinfo("link").external_attr >> 16)
    assert sent.getinfo("run.sh").external_attr >> 16 == stat.S_IFREG | 0o750
    assert sent.getinfo("old").date_time == (1980, 1, 1, 0, 0, 0)
    assert sent.comment.startswith(b"1 entries")


def test_names_that_zip_cannot_say_are_escaped(workspace: Workspace, root: Path) -> None:
    (root / "raw\udcff").touch()
    (root / "é\n").touch()
    assert sorted(unzipped(workspace).namelist()) == ["raw\\xff", "é\n"]


def test_nothing_runs_ahead_of_the_reader(workspace: Workspace, root: Path) -> None:
    (root / "noise").write_bytes(os.urandom(8 << 20))
    pieces = zip_pieces(workspace, "", 1 << 30)
    first = next(pieces)
    assert PIECE_BYTES <= len(first) < 4 * PIECE_BYTES
    (root / "noise").write_bytes(b"")  # what was not asked for yet was not read yet
    rest = b"".join(pieces)
    assert len(rest) < 1 << 20


def test_a_reader_that_goes_away(workspace: Workspace, root: Path) -> None:
    (root / "noise").write_bytes(os.urandom(1 << 20))
    pieces = zip_pieces(workspace, "", 1 << 30)
    next(pieces)
    pieces.close()
    zip_pieces(workspace, "", 1 << 30).close()


def test_too_large_is_said_before_anything_is_sent(workspace: Workspace, root: Path) -> None:
    with (root / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    for limit_bytes, limit_entries in ((1 << 30, 100), (1 << 41, 0)):
        with pytest.raises(DevexError) as refusal:
            check_size(workspace, "", limit_bytes, limit_entries)
        assert refusal.value.status == 413
    check_size(workspace, "", 1 << 41, 100)
    with pytest.raises(DevexError):
        for _ in zip_pieces(workspace, "", 1 << 20):
            pass


def test_what_is_held_of_a_zip_is_bounded(workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zipfile keeps every entry, with its whole path, until the end."""
    deep = root / ("d" * 200)
    deep.mkdir()
    for number in range(10):
        (deep / f"{number:0200}").touch()
    held = check_size(workspace, "", 1, 100)
    assert 10 * 400 < held < 10 * 4_000
    monkeypatch.setattr(archive, "HELD_BYTES", held - 1)
    with pytest.raises(DevexError) as refusal:
        check_size(workspace, "", 1, 100)
    assert (refusal.value.status, refusal.value.action) == (413, "Download its folders one by one.")
    assert b"".join(zip_pieces(workspace, "", 1, held))
    (deep / "grown").touch()
    with pytest.raises(DevexError):
        b"".join(zip_pieces(workspace, "", 1, held))


def test_a_slow_reader_gets_everything(workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (root / f"{number}").mkdir()
        (root / f"{number}" / "noise").write_bytes(os.urandom(PIECE_BYTES))
    pieces = zip_pieces(workspace, "", 1 << 30)
    got = [next(pieces)]
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + 3600)
    monkeypatch.setattr(tree, "time", later)
    got += pieces
    with zipfile.ZipFile(io.BytesIO(b"".join(got))) as whole:
        assert len(whole.namelist()) == 20
        assert not whole.comment


def test_a_folder_of_empty_files_is_sent_in_pieces(workspace: Workspace, root: Path) -> None:
    for number in range(5_000):
        (root / f"{number:0200}").touch()
    *pieces, end = zip_pieces(workspace, "", 1)
    assert max(map(len, pieces)) < 2 * PIECE_BYTES
    with zipfile.ZipFile(io.BytesIO(b"".join([*pieces, end]))) as sent:
        assert len(sent.namelist()) == 5_000
