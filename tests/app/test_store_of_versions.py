"""What operators set for versions: `devex serve` and `devex doctor` with stores of either kind."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.app.commands import administrator, devex, new_repl, serving, stop, until
from tests.between import Between, Exchange, answers, passes
from tests.stores import ACCESS_KEY, BUCKET, SECRET_KEY, Server, rclone


def in_s3(server: Server, **changes: Any) -> dict[str, Any]:
    """Settings of an empty store of one's own."""
    keys = {"s3_access_key": ACCESS_KEY, "s3_secret_key": SECRET_KEY}
    return {"store": f"s3://{BUCKET}/{secrets.token_hex(8)}/", "s3_endpoint": server.url} | keys | changes


def in_bucket(server: Server, settings: dict[str, Any]) -> str:
    """The list of what is in the store, as the server writes it."""
    prefix = settings["store"].removeprefix(f"s3://{BUCKET}/")
    return httpx.get(f"{server.url}/{BUCKET}", params={"prefix": prefix, "list-type": 2}, trust_env=False).text


def checks(folder: Path, **settings: Any) -> dict[str, str]:
    """Of `devex doctor`: name -> "mark: what it says"."""
    lines = devex(folder, "doctor", **settings).stdout.splitlines()
    return {line[6:].partition(": ")[0]: f"{line[:6].strip()}: {line.partition(': ')[2]}" for line in lines}


def test_versions_are_kept_in_the_bucket(tmp_path: Path, moto_server: Server) -> None:
    secret = secrets.token_hex(20)  # this server takes any, and other tests' programs are told theirs as arguments
    settings = in_s3(moto_server, autosave_s=1, log_level="debug", s3_secret_key=secret)
    with serving(tmp_path, **settings) as (process, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "in S3")
        assert browser.put(f"/repls/{repl}/files/a.txt", content=b"kept").status_code < 300

        def kept() -> bool:
            newest = browser.get(f"/repls/{repl}/snapshots").json()["versions"][:1]
            return [one for one in newest if one["files"] == 1 and one["message"] == "autosave"] != []

        until(kept)
        ours = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert any("runner.snapshots.worker" in " ".join(one.cmdline()) for one in ours)
        assert not [one for one in psutil.process_iter() if secret in " ".join(_arguments(one))]
        stop(browser, repl)
        newest = browser.get(f"/repls/{repl}/snapshots").json()["versions"][0]["version"]
        assert browser.get(f"/repls/{repl}/snapshots/{newest}/file", params={"path": "a.txt"}).content == b"kept"
    assert f"/{repl}/c/" in in_bucket(moto_server, settings)
    assert not (tmp_path / "data" / "store").exists()
    assert secret not in (tmp_path / "log").read_text()


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_versions_are_kept_in_the_folder_that_is_set(tmp_path: Path) -> None:
    """It is not made: when its disk comes, what has waited is saved in it."""
    folder = tmp_path / "elsewhere"
    with serving(tmp_path, store=folder) as (_, origin, link), administrator(origin, link) as browser:
        until(lambda: f"There is no folder {folder}." in (tmp_path / "log").read_text())
        repl = new_repl(browser, "in a folder")
        assert browser.get(f"/repls/{repl}/snapshots").json()["error"]["message"] == f"There is no folder {folder}."
        folder.mkdir()
        stop(browser, repl)
        until(lambda: (folder / repl / "c").is_dir())
    assert not (tmp_path / "data" / "store").exists()


def test_the_doctor_tries_a_bucket(tmp_path: Path, moto_server: Server) -> None:
    settings = in_s3(moto_server)
    found = checks(tmp_path, **settings)
    assert found["store"] == f"ok: {settings['store']} at {moto_server.url} is written, listed, read and deleted from."
    assert found["store keeps what it has"] == "ok: It refuses to replace an object."
    assert "<Key>" not in in_bucket(moto_server, settings)


def test_the_doctor_tries_a_folder(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert found["store"].startswith(f"ok: {tmp_path}/data/store is written")
    assert f"GiB free in {tmp_path}/data/store" in found["store's disk"]
    (tmp_path / "file").touch()
    broken = devex(tmp_path, "doctor", store=tmp_path / "file" / "store")
    assert broken.returncode == 1
    assert "WRONG store: " in broken.stdout


def test_the_doctor_says_why_a_bucket_cannot_be_used(tmp_path: Path, moto_server: Server) -> None:
    missing = devex(tmp_path, "doctor", **in_s3(moto_server, store="s3://nowhere/devex"))
    assert missing.returncode == 1
    assert "The store's bucket does not exist. (It was tried by writing.) ->" in missing.stdout
    nobody = checks(tmp_path, **in_s3(moto_server, s3_endpoint="http://127.0.0.1:1"))
    assert "cannot be reached" in nobody["store"]


async def test_the_doctor_says_what_a_user_may_not_do(tmp_path: Path, moto_server: Server) -> None:
    """Everything but deleting; and of a server that ignores conditions, what that means."""

    async def forbids(exchange: Exchange) -> None:
        await (answers(403, "AccessDenied") if b"?delete" in exchange.head.split(b"\r\n")[0] else passes)(exchange)

    async with Between(moto_server.url) as between:
        between.will(*[forbids] * 100)
        found = await asyncio.to_thread(checks, tmp_path, **in_s3(moto_server, s3_endpoint=between.url))
    assert found["store"].startswith("WRONG: ")
    assert "forbids this (403 AccessDenied). (It was tried by deleting.)" in found["store"]


def test_what_a_store_does_not_keep_is_said_in_the_log_when_the_server_starts(tmp_path: Path) -> None:
    """It is tried, whether or not somebody asks the doctor."""
    with rclone(tmp_path) as server, serving(tmp_path, **in_s3(server)):
        until(lambda: "may only be created, not replaced" in (tmp_path / "log").read_text())


def test_a_wrong_store_is_said_in_the_log_when_the_server_starts(tmp_path: Path, moto_server: Server) -> None:
    with serving(tmp_path, **in_s3(moto_server, store="s3://nowhere/devex")):
        until(lambda: "The store's bucket does not exist." in (tmp_path / "log").read_text())
