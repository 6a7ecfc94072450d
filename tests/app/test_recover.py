"""`devex recover`: the machine is lost, and there are the store and yesterday's database."""

import shutil
import signal
import sqlite3
from pathlib import Path

from tests.app.commands import administrator, devex, new_repl, serving, sign_in, stop, until


def backup(database: Path, to: Path) -> None:
    source, target = sqlite3.connect(database), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def test_everything_comes_back_from_the_store(tmp_path: Path) -> None:
    settings = {"store": tmp_path / "store", "autosave_s": 1, "launcher_grace_s": 0}
    data, saved = tmp_path / "data", tmp_path / "saved"
    saved.mkdir()
    (tmp_path / "store").mkdir()
    with serving(tmp_path, **settings) as (process, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "lost")
        trashed = new_repl(browser, "in the trash")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"yesterday")
        stop(browser, repl)
        stop(browser, trashed)
        until(lambda: (tmp_path / "store" / repl / "c").is_dir() and (tmp_path / "store" / trashed / "c").is_dir())
        backup(data / "devex.sqlite3", saved / "devex.sqlite3")
        shutil.copy(data / "secret", saved)
        assert devex(tmp_path, "recover", **settings).stderr == "The server runs. Stop it first.\n"

        for _ in range(2):  # of epochs that the saved database knows nothing of
            browser.post(f"/api/repls/{repl}/start", params={"wait": True})
            browser.put(f"/repls/{repl}/files/a.txt", content=b"today")
            assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201
            stop(browser, repl)
        unknown = new_repl(browser, "made today")
        browser.put(f"/repls/{unknown}/files/b.txt", content=b"made today")
        assert browser.post(f"/repls/{unknown}/snapshots", json={}).status_code == 201
        process.send_signal(signal.SIGKILL)
        process.wait()
    until(lambda: devex(tmp_path, "doctor", **settings).returncode in (0, 1))
    shutil.rmtree(data)
    shutil.copytree(saved, data)

    recovered = devex(tmp_path, "recover", **settings)
    assert recovered.returncode == 0, recovered.stderr
    assert recovered.stdout.count("its files come back from version") == 2
    assert f"?     {unknown}: is in the store, and in no list." in recovered.stdout
    owned = devex(tmp_path, "recover", "--owner", "ada", **settings)
    assert (owned.stdout.count("ok "), owned.stdout.count("was in no list")) == (1, 1)
    with serving(tmp_path, second=True, **settings) as (_, origin, _), sign_in(origin) as browser:
        for one in (repl, trashed, unknown):
            until(lambda one=one: browser.get(f"/repls/{one}/tree").status_code == 200)  # type: ignore[misc]
        assert browser.get(f"/repls/{repl}/files/a.txt").content == b"today"
        assert browser.get(f"/repls/{unknown}/files/b.txt").content == b"made today"
        browser.post(f"/api/repls/{repl}/start", params={"wait": True})
        browser.put(f"/repls/{repl}/files/a.txt", content=b"tomorrow")
        taken = browser.post(f"/repls/{repl}/snapshots", json={})
        assert taken.status_code == 201, taken.text  # nobody's newer version is in its way
        newest = browser.get(f"/repls/{repl}/snapshots").json()["versions"][0]["version"]
        assert newest == taken.json()["version"]
    again = devex(tmp_path, "recover", **settings)
    assert again.stdout == "Start the server: it lays out the files.\n"


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "there")
        stop(browser, repl)
        until(lambda: (tmp_path / "data" / "store" / repl / "c").is_dir())
    file = tmp_path / "data" / "workspaces" / repl / "newer.txt"
    file.write_text("than any version")
    assert devex(tmp_path, "recover").stdout == "Start the server: it lays out the files.\n"
    assert file.read_text() == "than any version"
    shutil.rmtree(file.parent)
    shutil.rmtree(tmp_path / "data" / "store" / repl)
    assert "its files are gone, and the store has no version of it" in devex(tmp_path, "recover").stdout
