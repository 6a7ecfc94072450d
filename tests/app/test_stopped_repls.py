"""A REPL that is stopped is started by whoever edits one of its files."""

import shutil
from pathlib import Path

import httpx

from tests.app.commands import administrator, new_repl, serving, stop


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
        shutil.rmtree(tmp_path / "data" / "workspaces" / repl)
        assert browser.get(f"/repls/{repl}/tree").json()["error"]["message"] == "Its files are gone."
        at = f"/repls/{repl}/snapshots/{version}"
        assert browser.get(f"/repls/{repl}/snapshots").json()["versions"][0]["version"] == version
        assert browser.get(f"{at}/file", params={"path": "a.txt"}).content == b"a needle"
        assert len(browser.get(f"{at}/search", params={"q": "needle"}).json()["matches"]) == 1
        assert browser.get(f"{at}/zip").is_success
        fork = browser.post(f"/api/repls/{repl}/fork", json={"version": version}).json()["id"]
        browser.post(f"/api/repls/{fork}/start", params={"wait": True})
        assert browser.get(f"/repls/{fork}/files/a.txt").content == b"a needle"
