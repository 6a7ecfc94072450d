"""A version is brought back through a real server, whatever becomes of who asked for it."""

import errno
import json
import os
from pathlib import Path
from threading import Thread

import httpx
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.app.commands import administrator, new_repl, serving, sign_in, until


def test_signing_out_leaves_no_restore_half_done(tmp_path: Path) -> None:
    """The disk of the versions does not answer for a while: a pipe that nobody writes to."""
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser, sign_in(origin) as other:
        repl = new_repl(browser, "restored")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"one")
        old = browser.post(f"/repls/{repl}/snapshots", json={}).json()["version"]
        (pack,) = (tmp_path / "data" / "store" / repl / "p").iterdir()
        browser.put(f"/repls/{repl}/files/a.txt", content=b"two")
        assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201
        kept = tmp_path / "kept"
        pack.rename(kept)
        os.mkfifo(tmp_path / "pipe")
        os.link(tmp_path / "pipe", pack)
        answers: list[httpx.Response] = []

        def restore() -> None:
            answers.append(browser.post(f"/repls/{repl}/snapshots/{old}/restore", json={}))

        asking = Thread(target=restore)
        cookies = "; ".join(f"{name}={value}" for name, value in other.cookies.items())
        address = f"{origin.replace('http', 'ws', 1)}/repls/{repl}/events"
        with connect(address, origin=Origin(origin), additional_headers={"Cookie": cookies}, proxy=None) as events:
            asking.start()
            while json.loads(events.recv(timeout=30))["type"] != "restoring":
                pass
            (session,) = (one["id"] for one in other.get("/api/account/sessions").json() if not one["current"])
            assert other.delete(f"/api/account/sessions/{session}").is_success
            asking.join()
            assert [answer.status_code for answer in answers] == [401]
        pack.unlink()
        kept.rename(pack)
        try:
            os.close(os.open(tmp_path / "pipe", os.O_WRONLY | os.O_NONBLOCK))
        except OSError as error:
            assert error.errno == errno.ENXIO  # noqa: PT017 - it was not being read yet
        newest = f"restored everything of {old}"
        until(lambda: other.get(f"/repls/{repl}/snapshots").json()["versions"][0]["message"] == newest)
        assert other.get(f"/repls/{repl}/files/a.txt").content == b"one"
