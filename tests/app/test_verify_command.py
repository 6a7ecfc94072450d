"""`devex verify`, beside the server whose versions it reads again."""

import shutil
from pathlib import Path

from tests.app.commands import administrator, devex, new_repl, serving, stop, until


def test_what_is_damaged_is_found_while_the_server_runs(tmp_path: Path) -> None:
    store = tmp_path / "data" / "store"
    with serving(tmp_path) as (_, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "whole")
        browser.put(f"/repls/{repl}/files/a.txt", content=b"first")
        browser.put(f"/repls/{repl}/files/b.txt", content=bytes(9 << 20))
        browser.post(f"/repls/{repl}/snapshots", json={"name": "kept"})
        new_repl(browser, "empty")
        slug = browser.get(f"/api/repls/{repl}").json()["slug"]

        good = devex(tmp_path, "verify", slug)
        assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "Every version is as it was written.")
        assert good.stdout.startswith(f"ok    {slug}: ")

        packs = sorted((store / repl / "p").iterdir())
        content = packs[0].read_bytes()
        packs[0].chmod(0o600)
        packs[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        bad = devex(tmp_path, "verify", repl)
        assert bad.returncode == 1
        assert bad.stdout.startswith(f"WRONG {slug}: ")
        assert f"“p/{packs[0].name}”" in bad.stdout
        assert "Not every version is as it was written." in bad.stderr
        every = devex(tmp_path, "verify", "--all")
        assert every.returncode == 1
        assert [line[:5] for line in every.stdout.splitlines() if line[:1].strip()] == ["ok   ", "WRONG"]

        packs[0].write_bytes(content)
        assert devex(tmp_path, "verify", "--all").returncode == 0

        stop(browser, repl)
        until(lambda: devex(tmp_path, "verify", repl).returncode == 0)
        shutil.rmtree(store / repl)  # as when another disk is mounted there
        lost = devex(tmp_path, "verify", repl)
        assert lost.returncode == 1
        assert "was stored, and neither it nor a newer one is there." in lost.stdout


def test_what_cannot_be_verified_is_one_sentence(tmp_path: Path) -> None:
    nobody = devex(tmp_path, "verify", "nobody")
    assert (nobody.returncode, nobody.stderr) == (1, "There is no such REPL. Go back to your REPLs.\n")
    assert devex(tmp_path, "verify").returncode == 2
    assert devex(tmp_path, "verify", "one", "--all").returncode == 2
    assert devex(tmp_path, "verify", "--all").stdout == "Every version is as it was written.\n"
    (tmp_path / "file").touch()
    assert devex(tmp_path, "verify", "--all", store=tmp_path / "file").returncode == 1
