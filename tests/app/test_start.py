"""The real command in a process of its own: how it starts, how it refuses to, and what it leaves in the logs."""

import json
import re
import runpy
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from tests.app.commands import ENDS_S, ROOT, administrator, devex, environment, new_repl, serving, sign_in, until
from tests.ports import free_port


def refusal(folder: Path, **settings: object) -> tuple[int, str]:
    """Exit code and the one line of a server that does not start."""
    ended = devex(folder, "serve", **settings)
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.returncode, lines[0]


def test_the_first_start_makes_an_administrator_once(tmp_path: Path) -> None:
    with serving(tmp_path, log_format="json", access_log=True) as (process, origin, link):
        assert link.startswith(f"{origin}/setup?token=")
        token = link.partition("token=")[2]
        with httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False) as browser:
            assert browser.get("/setup", params={"token": token}).status_code == 200
            first = {"token": token, "name": "ada", "password": "correct horse battery"}
            made = browser.post("/api/setup", json=first)
            assert made.json()["role"] == "admin"
            cookie = made.headers["set-cookie"]
            assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
            assert "Secure" not in cookie
            assert browser.get("/").status_code == 200
            assert browser.post("/api/setup", json=first | {"name": "eve"}).status_code == 403
            client_id = re.search(r"'client_id': '([0-9a-f-]{36})'", browser.get("/account").text)
            assert client_id
            browser.get("/_nicegui_ws/socket.io/", params={"client_id": client_id[1], "EIO": 4, "transport": "polling"})
            browser.get("/nothing", params={"token": token})
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_S) == 0
    log = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"/setup", "/api/setup", "/_nicegui_ws/socket.io/"} <= {line.get("path") for line in lines}
    for secret in (token, "correct horse", cookie.partition("=")[2].partition(";")[0], client_id[1]):
        assert secret not in log
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "log"]
    with serving(tmp_path, second=True, launcher_grace_s=0) as (again, origin, _):  # its launcher ends with it
        assert httpx.get(f"{origin}/healthz", trust_env=False).json() == {"status": "ok"}
        again.send_signal(signal.SIGTERM)
        assert again.wait(ENDS_S) in (0, -signal.SIGTERM)


def test_repls_outlive_the_server_but_not_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path, port=port) as (process, origin, link):
        browser = httpx.Client(base_url=origin, headers={"Origin": origin}, trust_env=False, timeout=60)
        first = {"token": link.partition("token=")[2], "name": "ada", "password": "correct horse battery"}
        assert browser.post("/api/setup", json=first).status_code == 201
        repl = browser.post("/api/repls", json={"name": "lives on", "template": "python"}).json()
        assert browser.post(f"/api/repls/{repl['id']}/start", params={"wait": True}).json()["phase"] == "running"
        terminal = browser.post(f"/repls/{repl['id']}/terminals", json={"cols": 80, "rows": 24}).json()["id"]
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_S)
    with serving(tmp_path, port=port, second=True) as (process, _, _):
        assert browser.post(f"/api/repls/{repl['id']}/start", params={"wait": True}).json()["epoch"] == 1
        found = browser.get(f"/repls/{repl['id']}/terminals")
        assert [(one["id"], one["exit"]) for one in found.json()["terminals"]] == [(terminal, None)], found.text
        assert browser.put(f"/repls/{repl['id']}/files/last.txt", content=b"last").status_code == 201
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDS_S) == 0
    assert "not in the store" not in (tmp_path / "log").read_text()
    with serving(tmp_path, port=port, second=True):
        stopped = browser.get(f"/api/repls/{repl['id']}").json()
        assert (stopped["phase"], stopped["stop_reason"]) == ("stopped", "The server was stopped.")
        assert stopped["unsafe"] is None
        versions = browser.get(f"/repls/{repl['id']}/snapshots").json()["versions"]
        assert "before it stopped" in [version["message"] for version in versions]
        newest = f"/repls/{repl['id']}/snapshots/{versions[0]['version']}"
        assert browser.get(f"{newest}/file", params={"path": "last.txt"}).content == b"last"
        assert b"last.txt" in browser.get(f"{newest}/zip").content
        found = browser.get(f"{newest}/search", params={"q": "LAST"}).json()["matches"]
        assert [one["path"] for one in found] == ["last.txt"]
        assert browser.get(f"/repls/{repl['id']}/files/main.py").status_code == 200
    browser.close()


def launchers(data: Path) -> list[int]:
    named = [(one.pid, one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    return [pid for pid, line in named if {"orchestrator.backends.local.launcher", str(data)} <= set(line)]


def test_ctrl_c_while_it_starts_stops_the_repls_of_before(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "data"
    with serving(tmp_path, port=port) as (process, origin, link), administrator(origin, link) as browser:
        repl = new_repl(browser, "found")
        process.send_signal(signal.SIGTERM)
        process.wait(ENDS_S)
    assert launchers(data)
    given = environment(tmp_path, port=port)
    with closing(sqlite3.connect(data / "devex.sqlite3", isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")  # the next server waits for it
        command = [sys.executable, str(ROOT / "main.py")]
        with subprocess.Popen(command, env=given, cwd=tmp_path, stdout=subprocess.DEVNULL) as starting:
            until(lambda: any(file.path.endswith(".sqlite3") for file in psutil.Process(starting.pid).open_files()))
            starting.send_signal(signal.SIGINT)
            database.execute("ROLLBACK")
            assert starting.wait(ENDS_S) == 0
    until(lambda: not launchers(data))
    with serving(tmp_path, port=port, second=True) as (_, origin, _), sign_in(origin) as browser:
        assert browser.get(f"/api/repls/{repl}").json()["stop_reason"] == "The server was stopped."


def test_ctrl_c_before_anything_runs_leaves_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    class PressedWhileItImports:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "app.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "app.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [PressedWhileItImports(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "main.py"), run_name="__main__")
    assert ended.value.code == 130


def test_links_of_the_command_line_work(tmp_path: Path) -> None:
    assert devex(tmp_path, "migrate").stdout == "The database is up to date.\n"
    invite, setup = devex(tmp_path, "invite"), devex(tmp_path, "setup-link")
    assert re.search(r"/sign-up\?invite=\S{43}$", invite.stdout)
    assert re.search(r"/setup\?token=\S{43}$", setup.stdout)
    with sqlite3.connect(tmp_path / "data" / "devex.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM links").fetchone() == (2,)
    database.close()


def test_a_clone_has_the_command_too(tmp_path: Path) -> None:
    """`make run` makes it; it works from any folder, whatever is called like a package of ours there."""
    fresh = tmp_path / "venv"
    (fresh / "bin").mkdir(parents=True)
    (fresh / "bin" / "python").symlink_to(sys.executable)
    (fresh / "lib").symlink_to(Path(sys.prefix) / "lib")
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", fresh)
    command = fresh / "bin" / "devex"
    subprocess.run(["make", f"VENV={fresh}", str(command)], cwd=ROOT, check=True, capture_output=True, timeout=60)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise RuntimeError('not ours')")
    given = environment(tmp_path)
    del given["PYTHONPATH"]
    told = subprocess.run([command, "migrate"], env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert told.stdout == "The database is up to date.\n", told.stderr


def test_a_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, port="http")
    assert (code, "DEVEX_PORT cannot be used" in said) == (2, True)
    code, said = refusal(tmp_path, host="0.0.0.0")
    assert (code, "DEVEX_HOST is a public address" in said) == (2, True)


def test_a_clone_without_its_javascript_is_one_sentence(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    for name in ("app", "components", "orchestrator", "runner"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("dist", "node_modules"))
    given = environment(tmp_path) | {"PYTHONPATH": str(clone)}
    command = [sys.executable, str(shutil.copy(ROOT / "main.py", clone))]
    ended = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    told = "The browser's JavaScript has not been built. Run `make bundle`, or install DEVEX with pip.\n"
    assert (ended.returncode, ended.stderr) == (1, told)


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refusal(tmp_path, port=port)
    assert (code, said) == (
        1,
        f"DEVEX cannot listen on 127.0.0.1 port {port}: address already in use. "
        "Stop what uses it, or set DEVEX_PORT and DEVEX_HOST.",
    )


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, said = refusal(tmp_path, data_dir=tmp_path / "file" / "data")
    assert (code, "cannot be used: not a directory. Set DEVEX_DATA_DIR" in said) == (1, True)


def test_a_data_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    code, said = refusal(tmp_path, data_dir="/proc/sys")  # not even by root
    assert (code, "The data folder /proc/sys cannot be used: " in said) == (1, True)


def test_a_data_folder_in_use_is_one_sentence(tmp_path: Path) -> None:
    with serving(tmp_path):
        code, said = refusal(tmp_path)
    assert (code, "Another DEVEX server uses the data folder" in said) == (1, True)


@pytest.mark.parametrize("content", [b"this is not a database " * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_database_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "devex.sqlite3").write_bytes(content)
    code, said = refusal(tmp_path)
    assert (code, "devex.sqlite3 is damaged. Put a backup in its place" in said) == (1, True)
    assert (tmp_path / "data" / "devex.sqlite3").read_bytes() == content


def test_a_database_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    assert devex(tmp_path, "migrate").returncode == 0
    file = f"file:{tmp_path}/data/devex.sqlite3?mode=ro"
    code, said = refusal(tmp_path, database_url="sqlite:///proc/nothing/devex.sqlite3")
    assert (code, "cannot be written. Let the user who runs DEVEX" in said) == (1, True)
    assert sqlite3.connect(file, uri=True).execute("SELECT count(*) FROM users").fetchone() == (0,)


@pytest.mark.parametrize("place", ["127.0.0.1:1/devex", "127.0.0.1:99999/devex", "127.0.0.1:1/devex?sslmode=require"])
def test_a_postgres_that_is_not_there_is_one_sentence(tmp_path: Path, place: str) -> None:
    code, said = refusal(tmp_path, database_url=f"postgres://devex:a-password@{place}")
    assert (code, "The PostgreSQL database does not answer as it should" in said) == (1, True)
    assert "a-password" not in said


def test_the_database_and_the_secret_are_their_owners_alone(tmp_path: Path) -> None:
    """Also in a folder that others may enter, and under a umask that lets them read."""
    (tmp_path / "data").mkdir(mode=0o755)
    with serving(tmp_path, database_url=f"sqlite://{tmp_path}/data/mine.sqlite3"):
        names = ("mine.sqlite3", "mine.sqlite3-wal", "mine.sqlite3-shm", "secret")
        assert {oct((tmp_path / "data" / name).stat().st_mode & 0o777) for name in names} == {"0o600"}


def test_the_doctor_asks_for_the_proxy_that_ends_https(tmp_path: Path) -> None:
    given = {"public_url": "https://devex.example.org"}
    assert "?     proxy: " in devex(tmp_path, "doctor", **given).stdout
    assert "proxy: " not in devex(tmp_path, "doctor", trusted_proxies="10.0.0.2", **given).stdout


def test_the_doctor_tells_as_much_beside_a_running_server(tmp_path: Path) -> None:
    def checks() -> dict[str, str]:
        lines = devex(tmp_path, "doctor").stdout.splitlines()
        return {name: told for name, _, told in (line.partition(": ") for line in lines)}

    alone = checks()
    with serving(tmp_path):
        beside = checks()
    assert {"ok    sandbox", "ok    bubblewrap", "ok    system calls"} <= set(beside)
    assert alone.keys() == beside.keys()
    for changing in ("ok    settings", "ok    disk", "ok    store's disk"):  # the port, and what is free
        alone.pop(changing, None)
        beside.pop(changing, None)
    assert alone == beside
    assert not list((tmp_path / "data").glob("doctor-*"))
