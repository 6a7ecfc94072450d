"""`devex migrate-store`: a whole installation from a folder to S3 and back."""

from pathlib import Path

from tests.app.commands import administrator, devex, new_repl, serving, sign_in, stop, until
from tests.app.test_store_of_versions import in_s3
from tests.stores import SECRET_KEY, Server


def test_from_a_folder_to_s3_and_back(tmp_path: Path, moto_server: Server) -> None:
    there = in_s3(moto_server)
    bucket = there.pop("store")
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repls = [new_repl(browser, name) for name in ("one", "two")]
        for repl in repls:
            browser.put(f"/repls/{repl}/files/a.txt", content=repl.encode())
            stop(browser, repl)
        until(lambda: devex(tmp_path, "verify", "--all").stdout.count(" 1 versions") == 2)
        beside = devex(tmp_path, "migrate-store", "--to", bucket, **there)
        assert beside.returncode == 0, beside.stderr
        assert beside.stdout.splitlines()[-1].startswith("Everything up to now is copied. Stop the server")
    copied = devex(tmp_path, "migrate-store", "--to", bucket, **there)
    lines = copied.stdout.splitlines()
    assert [line.partition(": ")[2] for line in lines[:2]] == ["0 objects copied, 0.0 MiB"] * 2
    assert lines[-1].startswith(f"Everything is copied. Set DEVEX_STORE={bucket} and start the server")
    assert SECRET_KEY not in copied.stdout + copied.stderr

    assert devex(tmp_path, "verify", "--all", store=bucket, **there).returncode == 0
    with serving(tmp_path, second=True, store=bucket, **there) as (_, origin, _), sign_in(origin) as browser:
        for repl in repls:
            newest = browser.get(f"/repls/{repl}/snapshots").json()["versions"][0]["version"]
            content = browser.get(f"/repls/{repl}/snapshots/{newest}/file", params={"path": "a.txt"}).content
            assert content == repl.encode()
        browser.post(f"/api/repls/{repls[0]}/start", params={"wait": True})
        browser.put(f"/repls/{repls[0]}/files/b.txt", content=b"in S3")
        stop(browser, repls[0])

    back = tmp_path / "back"
    assert devex(tmp_path, "migrate-store", "--to", str(back), store=bucket, **there).returncode == 0
    found = devex(tmp_path, "verify", "--all", store=back)
    assert found.returncode == 0, found.stdout
    assert " 2 versions" in found.stdout


def test_what_cannot_be_copied_is_said(tmp_path: Path, moto_server: Server) -> None:
    same = devex(tmp_path, "migrate-store", "--to", str(tmp_path / "data" / "store"))
    assert (same.returncode, "is the store in use." in same.stderr) == (2, True)
    nothing = devex(tmp_path, "migrate-store", "--to", "some/folder")
    assert (nothing.returncode, "“some/folder” is no store: it must look like" in nothing.stderr) == (2, True)
    elsewhere = devex(tmp_path, "migrate-store", "--to", "s3://nowhere/devex", **in_s3(moto_server, store=""))
    assert (elsewhere.returncode, "bucket does not exist" in elsewhere.stderr) == (1, True)
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "damaged")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"kept")
        stop(browser, repl)
        packs = tmp_path / "data" / "store" / repl / "p"
        until(packs.is_dir)
    pack = next(packs.iterdir())
    pack.write_bytes(b"something else")
    damaged = devex(tmp_path, "migrate-store", "--to", str(tmp_path / "other"))
    assert damaged.returncode == 1
    assert f"“p/{pack.name}” is damaged" in damaged.stdout
    assert damaged.stderr.startswith("Not everything could be copied.")
