"""A REPL that is stopped is started by whoever edits one of its files."""

import os
from pathlib import Path

import httpx

from tests.app.commands import administrator, new_repl, serving, stop, until


def phase(browser: httpx.Client, repl: str) -> str:
    found: str = browser.get(f"/api/repls/{repl}").json()["phase"]
    return found


def test_an_edit_starts_it_and_is_made(tmp_path: Path) -> None:
    with serving(tmp_path, max_running=1) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "edited")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"one")
        for method, path, body in (
            ("PUT", "files/a.txt", b"two"),
            ("POST", "mkdir", b'{"path": "folder"}'),
            ("POST", "move", b'{"from": "a.txt", "to": "folder/a.txt"}'),
        ):
            stop(browser, repl)
            assert browser.get(f"/repls/{repl}/tree").status_code == 200
            assert phase(browser, repl) == "stopped"
            done = browser.request(method, f"/repls/{repl}/{path}", content=body)
            assert done.is_success, done.text
            assert phase(browser, repl) == "running"
        assert browser.get(f"/repls/{repl}/files/folder/a.txt").content == b"two"

        stop(browser, repl)
        assert browser.post(f"/repls/{repl}/run", json={}).status_code == 409
        assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 409
        assert phase(browser, repl) == "stopped"
        other = new_repl(browser, "in its way")
        refused = browser.put(f"/repls/{repl}/files/b.txt", content=b"refused")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "too_many_running")
        stop(browser, other)
        browser.delete(f"/api/repls/{repl}")
        assert browser.put(f"/repls/{repl}/files/b.txt", content=b"no").json()["error"]["code"] == "in_trash"


def test_versions_are_read_and_forked_whatever_became_of_the_files(tmp_path: Path) -> None:
    """As after the loss of the disk with the workspaces."""
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "lost")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"a needle")
        version = browser.post(f"/repls/{repl}/snapshots", json={}).json()["version"]
        stop(browser, repl)
        (tmp_path / "data" / "workspaces" / repl).rename(tmp_path / "lost")
        assert browser.get(f"/repls/{repl}/tree").json()["error"]["message"] == "Its files are gone."
        at = f"/repls/{repl}/snapshots/{version}"
        versions = browser.get(f"/repls/{repl}/snapshots").json()["versions"]
        assert version in [one["version"] for one in versions]  # perhaps not the newest: a stop saves what changed
        assert browser.get(f"{at}/file", params={"path": "a.txt"}).content == b"a needle"
        assert len(browser.get(f"{at}/search", params={"q": "needle"}).json()["matches"]) == 1
        assert browser.get(f"{at}/zip").is_success
        fork = browser.post(f"/api/repls/{repl}/fork", json={"version": version}).json()["id"]
        browser.post(f"/api/repls/{fork}/start", params={"wait": True})
        assert browser.get(f"/repls/{fork}/files/a.txt").content == b"a needle"


def test_a_fork_of_a_damaged_version_says_what_it_lacks(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "damaged")
        browser.put(f"/repls/{repl}/files/a.txt", content=os.urandom(1000))
        assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201
        for pack in (tmp_path / "data" / "store" / repl / "p").iterdir():
            pack.write_bytes(bytes(pack.stat().st_size))
        browser.put(f"/repls/{repl}/files/b.txt", content=b"whole")
        version = browser.post(f"/repls/{repl}/snapshots", json={}).json()["version"]
        stop(browser, repl)
        fork = browser.post(f"/api/repls/{repl}/fork", json={"version": version}).json()["id"]
        said = browser.post(f"/api/repls/{fork}/start", params={"wait": True}).json()["lacks"]
        why = "cannot be brought back: what the store holds of it is damaged"
        assert said == (
            f"Not everything of version {version} is here as it was: “a.txt” {why}. Look for it in other versions."
        )
        assert browser.get(f"/repls/{fork}/files/b.txt").content == b"whole"
        assert browser.get(f"/repls/{fork}/files/a.txt").status_code == 404
        stop(browser, fork)
        assert browser.get(f"/api/repls/{fork}").json()["lacks"] == said
        assert browser.post(f"/api/repls/{fork}/start", params={"wait": True}).json()["lacks"] is None


def test_what_its_terminals_said_is_read_while_it_is_stopped(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "records"
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "recorded")
        at = f"/repls/{repl}/records"
        inside = 'ls -d "$0"; cat "$0"/*/*/about.json; echo a needle; sleep 1000'
        browser.put(
            f"/repls/{repl}/files/.devex.toml", content=f"""run = ['sh', '-c', '{inside}', '{folder}']""".encode()
        )
        run = browser.post(f"/repls/{repl}/run").json()["terminal"]
        until(lambda: b"needle" in browser.get(f"{at}/{run}/output").content)
        assert b'"about"' not in browser.get(f"{at}/{run}/output").content, "no program reaches its own record"
        stop(browser, repl)
        (record,) = browser.get(at).json()["records"]
        assert (record["id"], record["who"]["name"]) == (run, "ada")
        assert record["exit"], "as far as anybody saw it"
        last = browser.get(f"{at}/{run}/output", params={"last": 10})
        assert (last.content, last.headers["devex-missing"]) == (b"a needle\r\n", "0")
        assert browser.get(f"{at}/{run}/text").text.endswith("\na needle\n")
        assert [match["id"] for match in browser.get(f"{at}/search", params={"q": "NEEDLE"}).json()["matches"]] == [run]


def test_what_is_recorded_is_deleted_while_it_is_stopped_and_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "records"
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "recorded")
        at = f"/repls/{repl}/records"
        browser.put(f"/repls/{repl}/files/.devex.toml", content=b"run = 'echo a needle'")

        def ran() -> str:
            terminal: str = browser.post(f"/repls/{repl}/run").json()["terminal"]
            until(lambda: not browser.get(f"/repls/{repl}/run").json()["running"])
            return terminal

        runs = [ran(), ran(), ran()]
        stop(browser, repl)
        assert browser.delete(f"{at}/{runs[1]}").status_code == 204
        assert browser.delete(f"{at}/{runs[1]}").status_code == 404
        assert [one["id"] for one in browser.get(at).json()["records"]] == [runs[2], runs[0]]
        assert browser.get(f"{at}/{runs[0]}/output").content == b"a needle\r\n"
        assert browser.delete(at).status_code == 204
        assert browser.get(at).json()["records"] == []
        assert list((folder / repl).iterdir()) == []
        assert phase(browser, repl) == "stopped"

        browser.post(f"/api/repls/{repl}/start", params={"wait": True})
        ran()
        browser.delete(f"/api/repls/{repl}")
        assert list((folder / repl).iterdir()), "out of the trash it comes back with them"
        browser.delete(f"/api/repls/{repl}", params={"purge": True})
        until(lambda: not (folder / repl).exists())
