"""`devex export` and `devex import`: a REPL from one server to another."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from runner.snapshots import bundle
from tests.app.commands import administrator, devex, environment, new_repl, serving, sign_in, stop, until
from tests.runner.snapshots.made_up import MadeUp, a_file, doubled


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A REPL with two versions, the first with a name; with a file that is too large for some."""
    folder = tmp_path_factory.mktemp("from")
    with serving(folder) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "Straße", "python")
        browser.put(f"/repls/{repl}/files/src/a.txt", content=b"first")
        browser.post(f"/repls/{repl}/snapshots", json={"name": "before the change"})
        browser.put(f"/repls/{repl}/files/src/a.txt", content=b"second")
        browser.put(f"/repls/{repl}/files/large", content=os.urandom(20 << 20))
        stop(browser, repl)
        until(lambda: devex(folder, "export", repl, "some.devex").returncode == 0)
        assert (folder / "some.devex").stat().st_mode & 0o077 == 0
        again = devex(folder, "export", repl, "some.devex")
        assert (again.returncode, "some.devex cannot be used: file exists." in again.stderr) == (1, True)
        return folder / "some.devex"


def records(folder: Path) -> int:
    with sqlite3.connect(folder / "data" / "devex.sqlite3") as database:
        count: int = database.execute("SELECT count(*) FROM repls").fetchone()[0]
    database.close()
    return count


def the_repl(folder: Path) -> str:
    with sqlite3.connect(folder / "data" / "devex.sqlite3") as database:
        ((repl,),) = database.execute("SELECT id FROM repls").fetchall()
    database.close()
    return str(repl)


def stored(folder: Path) -> list[Path]:
    return [path for path in (folder / "data" / "store").glob("*/*/*") if path.is_file()]


def test_an_export_that_is_killed_leaves_nothing_at_its_name(exported: Path) -> None:
    folder = exported.parent
    repl = the_repl(folder)
    command = [sys.executable, "-m", "app.cli", "export", repl, "killed.devex"]
    killed = False
    while not killed:  # it may have been faster than we
        for left in folder.glob("killed.devex*"):
            left.unlink()
        exporting = subprocess.Popen(command, env=environment(folder), cwd=folder)
        while not list(folder.glob("killed.devex*")) and exporting.poll() is None:
            pass  # it takes a fraction of a second: no time to sleep
        exporting.kill()
        killed = exporting.wait() == -signal.SIGKILL
    (draft,) = folder.glob("killed.devex*")
    assert draft.name != "killed.devex"
    again = devex(folder, "export", repl, "killed.devex")
    assert again.returncode == 0, again.stderr
    draft.unlink()
    with (folder / "killed.devex").open("rb") as file:
        bundle.read_about(file)
        assert list(bundle.read_members(file))


def test_an_export_that_fails_leaves_nothing(exported: Path) -> None:
    """The disk is full, as far as it can tell."""
    command = [sys.executable, "-m", "app.cli", "export", the_repl(exported.parent), "large.devex"]
    failed = subprocess.run(
        ["prlimit", f"--fsize={1 << 20}", *command],
        env=environment(exported.parent),
        cwd=exported.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (failed.returncode, failed.stderr) == (
        1,
        "The file large.devex cannot be used: file too large. Name another one.\n",
    )
    assert list(exported.parent.glob("large.devex*")) == []


def test_all_of_it_arrives(exported: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as (_, origin, link), administrator(origin, link):
        pass
    for _ in range(2):  # each is one of its own
        imported = devex(tmp_path, "import", str(exported), "--owner", "Ada")
        assert imported.returncode == 0, imported.stderr
        assert "is ada's. It is at " in imported.stdout
    assert devex(tmp_path, "verify", "--all").returncode == 0
    with serving(tmp_path, second=True) as (_, origin, _), sign_in(origin) as browser:
        found = browser.get("/api/repls").json()
        assert [(one["name"], one["template"], one["epoch"]) for one in found] == [("Straße", "python", 1)] * 2
        repl = found[0]["id"]
        until(lambda: browser.get(f"/repls/{repl}/files/src/a.txt").status_code == 200)
        assert browser.get(f"/repls/{repl}/files/src/a.txt").content == b"second"
        assert browser.post(f"/api/repls/{repl}/start", params={"wait": True}).json()["epoch"] == 2
        browser.put(f"/repls/{repl}/files/src/a.txt", content=b"third")
        taken = browser.post(f"/repls/{repl}/snapshots", json={})
        assert taken.status_code == 201, taken.text
        versions = browser.get(f"/repls/{repl}/snapshots").json()["versions"]
        assert versions[0]["version"] == taken.json()["version"]
        named = [one["version"] for one in versions if one["name"] == "before the change"]
        old = browser.get(f"/repls/{repl}/snapshots/{named[0]}/file", params={"path": "src/a.txt"})
        assert old.content == b"first"


def test_a_running_server_lays_out_what_is_imported(exported: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        assert devex(tmp_path, "import", str(exported), "--owner", "ada").returncode == 0
        repl = the_repl(tmp_path)
        assert browser.get(f"/repls/{repl}/files/src/a.txt").content == b"second"  # whoever looks waits for it
        assert browser.get(f"/api/repls/{repl}").json()["phase"] == "stopped"
        assert browser.post(f"/api/repls/{repl}/start", params={"wait": True}).json()["phase"] == "running"
        assert browser.get(f"/repls/{repl}/files/src/a.txt").content == b"second"


def test_what_is_refused_leaves_nothing(exported: Path, tmp_path: Path) -> None:
    with serving(tmp_path) as (_, origin, link), administrator(origin, link):
        pass
    nobody = devex(tmp_path, "import", str(exported), "--owner", "eve")
    assert (nobody.returncode, nobody.stderr) == (1, "There is no user “eve”. Give the name of a user.\n")
    missing = devex(tmp_path, "import", "missing.devex", "--owner", "ada")
    assert (missing.returncode, "cannot be used: no such file or directory." in missing.stderr) == (1, True)
    content = exported.read_bytes()
    with tarfile.open(exported) as members:
        inside = next(one for one in members if one.name.startswith("p/")).offset_data
    for name, data, said in (
        ("cut", content[: len(content) // 2], "it was cut off"),
        ("changed", content[:inside] + bytes([content[inside] ^ 1]) + content[inside + 1 :], "damaged"),
        ("none", b"PK\3\4" + bytes(2000), "no bundle of a REPL"),
    ):
        (tmp_path / name).write_bytes(data)
        refused = devex(tmp_path, "import", name, "--owner", "ada")
        assert refused.returncode == 1, name
        assert said in refused.stderr, name
        assert "Traceback" not in refused.stderr
    small = devex(tmp_path, "import", str(exported), "--owner", "ada", disk_mib=16)
    assert re.match("Its version [0-9-]+ holds more than 16 MiB", small.stderr), small.stderr
    assert records(tmp_path) == 0
    assert stored(tmp_path) == []


def test_older_versions_are_no_bombs(tmp_path: Path) -> None:
    """The newest version is small; an older one is a folder in a folder a thousand times over."""
    with serving(tmp_path) as (_, origin, link), administrator(origin, link):
        pass
    made = MadeUp()
    small, bomb = made.folder([a_file("f")]), doubled(made, 1000)
    made.version(bomb)
    made.version(small)
    with (tmp_path / "bomb.devex").open("wb") as file:
        bundle.write_about(file, {"name": "bomb", "template": "blank"})
        for member in made.members():
            bundle.write_member(file, *member)
        bundle.write_end(file)
    refused = devex(tmp_path, "import", "bomb.devex", "--owner", "ada")
    assert (refused.returncode, refused.stderr.startswith("Its version 1-1 holds more than ")) == (1, True)
    assert (records(tmp_path), stored(tmp_path)) == (0, [])


def test_a_repl_without_versions_cannot_be_exported(tmp_path: Path) -> None:
    with serving(tmp_path, autosave_s=3600) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "new")
        shutil.rmtree(tmp_path / "data" / "store" / repl, ignore_errors=True)
        refused = devex(tmp_path, "export", repl, "some.devex")
        assert (refused.returncode, refused.stderr.startswith("It has no version yet.")) == (1, True)
        assert not (tmp_path / "some.devex").exists()


def test_an_import_that_is_killed_is_removed(exported: Path, tmp_path: Path) -> None:
    """It is in the trash of its owner, whose day is over soon here."""
    with serving(tmp_path) as (_, origin, link), administrator(origin, link):
        pass
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "app.cli", "import", "pipe", "--owner", "ada"]
    importing = subprocess.Popen(command, env=environment(tmp_path), cwd=tmp_path)
    with (tmp_path / "pipe").open("wb") as pipe:
        content = exported.read_bytes()
        pipe.write(content[: len(content) // 2])
        pipe.flush()
        until(lambda: bool(stored(tmp_path)))
        importing.kill()
        importing.wait()
    with sqlite3.connect(tmp_path / "data" / "devex.sqlite3") as database:
        assert database.execute("SELECT goal FROM repls WHERE purge_at > created_at").fetchall() == [("delete",)]
        database.execute("UPDATE repls SET purge_at = created_at")
    database.close()
    with serving(tmp_path, second=True):
        until(lambda: records(tmp_path) == 0)
    assert stored(tmp_path) == []


def test_an_import_that_is_taken_out_of_the_trash_says_so(exported: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    command = [sys.executable, "-m", "app.cli", "import", "pipe", "--owner", "ada"]
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        importing = subprocess.Popen(
            command, env=environment(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        with (tmp_path / "pipe").open("wb") as pipe:
            content = exported.read_bytes()
            pipe.write(content[: len(content) // 2])
            pipe.flush()
            until(lambda: bool(stored(tmp_path)))
            (repl,) = browser.get("/api/repls?trash=true").json()
            assert browser.post(f"/api/repls/{repl['id']}/undelete").status_code == 200
            pipe.write(content[len(content) // 2 :])
        _, said = importing.communicate(timeout=60)
        assert (importing.returncode, "Traceback" in said) == (1, False), said
        assert "before it was whole. Import it again" in said
        until(lambda: (records(tmp_path), stored(tmp_path)) == (0, []))
