"""The real server with DEVEX_BACKEND=kubernetes, in a process of its own: its users see what they see elsewhere."""

import asyncio
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from websockets.asyncio.client import connect

from tests.app.commands import ENDS_S, administrator, devex, new_repl, serving, sign_in, stop, until
from tests.app.test_recover import backup
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, served
from tests.orchestrator.kubernetes.kubelet import Kubelet
from tests.ports import free_port
from tests.runner.proxy.stage import Tab
from tests.stores import ACCESS_KEY, SECRET_KEY, Server

PROMPT = "# " if os.geteuid() == 0 else "$ "
PERSON = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"}
PROGRAM = """
from http.server import HTTPServer, BaseHTTPRequestHandler

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"seen")

HTTPServer(("127.0.0.1", PORT), Answer).serve_forever()
"""
RIGHTS = "WRONG rights: Missing: create secrets, patch secrets. -> Apply k8s/base/rights.yaml."


@contextmanager
def on_a_thread() -> Iterator[tuple[BlockingPortal, ClusterApi, Kubelet]]:
    """A cluster of its own."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pods-"))  # short: sockets lie below it
        portal = stack.enter_context(start_blocking_portal())
        cluster = stack.enter_context(portal.wrap_async_context_manager(served()))
        kubelet = portal.call(Kubelet, cluster, Path(folder))
        stack.enter_context(portal.wrap_async_context_manager(kubelet))
        yield portal, cluster, kubelet


def settings_of(cluster: ClusterApi, s3: Server, folder: Path) -> dict[str, object]:
    (folder / "kubeconfig").write_text(cluster.kubeconfig())
    bucket = s3.config()
    return {
        "backend": "kubernetes",
        "kubeconfig": folder / "kubeconfig",
        "k8s_reach": "api",
        "k8s_proxy_image": "proxy:1",
        "k8s_image": "all:1",
        "k8s_images": '{"python": "python:1"}',
        "k8s_ingress": '{"class_name": "nginx", "controller": {"namespace": "ingress"}}',
        "preview_domain": "preview.test",
        "store": f"s3://{bucket.bucket}/{bucket.prefix}",
        "s3_endpoint": s3.url,
        "s3_access_key": ACCESS_KEY,
        "s3_secret_key": SECRET_KEY,
        "port": free_port(),
    }


def attached(browser: httpx.Client, path: str) -> connect:
    """A WebSocket of somebody who is signed in."""
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Cookie": cookies, "Origin": str(browser.base_url).rstrip("/")}
    url = f"{str(browser.base_url).rstrip('/').replace('http', 'ws')}{path}"
    return connect(url, additional_headers=headers, compression=None, proxy=None)


@contextmanager
def terminal(browser: httpx.Client, repl: str, terminal_id: str) -> Iterator[tuple[asyncio.Runner, Tab]]:
    """From its first byte."""
    with asyncio.Runner() as runner:

        async def attach() -> Tab:
            return Tab(await attached(browser, f"/repls/{repl}/terminals/{terminal_id}?after=0"))

        tab = runner.run(attach())
        yield runner, tab
        runner.run(tab.socket.close())


def told_of_its_files(browser: httpx.Client, repl: str) -> dict[str, Any]:
    """How they came into its pod."""

    async def look() -> dict[str, Any]:
        async with attached(browser, f"/repls/{repl}/events") as events:
            told: dict[str, Any] = json.loads(await events.recv())["restoring"]
            return told

    return asyncio.run(look())


def see_its_program(browser: httpx.Client, kubelet: Kubelet, repl: str) -> None:
    """By the preview port of its pod, as an ingress controller asks, and by the gateway; also when it was stopped."""
    port = free_port()
    browser.put(f"/repls/{repl}/files/main.py", content=PROGRAM.replace("PORT", str(port)).encode())
    browser.post(f"/repls/{repl}/run", json={})
    entrance = urlsplit(browser.post(f"/api/repls/{repl}/preview", json={"port": port}).json()["url"])
    headers = {"Host": entrance.netloc}

    def ask(at: httpx.URL | str, target: str = "/", **more: str) -> httpx.Response:
        return httpx.get(f"{at}{target}", headers=headers | more, trust_env=False, timeout=ENDS_S)

    def pod() -> str:
        (found,) = kubelet.pods.values()
        return f"http://127.0.0.1:{found.preview_port}"

    gateway = str(browser.base_url).rstrip("/")
    assert ask(pod(), "/", Accept="text/html").headers["location"].startswith(f"{gateway}/preview/")
    entered = ask(pod(), f"{entrance.path}?{entrance.query}")
    assert entered.status_code == 303
    headers["Cookie"] = entered.headers["set-cookie"].partition(";")[0]
    until(lambda: ask(pod()).text == "seen")
    assert ask(gateway).text == "seen"

    stop(browser, repl)
    assert ask(gateway, **PERSON).status_code == 303, "the pass was of an epoch that has ended"
    anew = urlsplit(browser.post(f"/api/repls/{repl}/preview", json={"port": port}).json()["url"])
    headers["Cookie"] = ask(gateway, f"{anew.path}?{anew.query}").headers["set-cookie"].partition(";")[0]
    waiting = ask(gateway, **PERSON)
    assert waiting.status_code == 503
    headers["Cookie"] = waiting.headers["set-cookie"].partition(";")[0]
    until(lambda: browser.get(f"/api/repls/{repl}").json()["phase"] == "running")
    until(lambda: ask(pod()).text == "seen")
    headers["Cookie"] = entered.headers["set-cookie"].partition(";")[0]
    assert ask(pod()).status_code == 401, "it was of an epoch that has ended"


def put_back(saved: Path, database: Path) -> None:
    for one in database.parent.glob(f"{database.name}*"):
        one.unlink()
    shutil.copy(saved, database)


def test_a_repl_lives_in_a_cluster(tmp_path: Path, s3: Server) -> None:
    with on_a_thread() as (_, cluster, kubelet):
        settings = settings_of(cluster, s3, tmp_path)
        with serving(tmp_path, **settings) as (process, origin, link), administrator(origin, link) as browser:
            repl = new_repl(browser, "in a pod", "python")
            (pod,) = (one for (kind, _), one in cluster.objects.items() if kind == "pods")
            assert [one["image"] for one in pod["spec"]["containers"]] == ["python:1"]
            assert browser.get(f"/repls/{repl}/files/main.py").status_code == 200
            assert told_of_its_files(browser, repl)["cut_off"] is False  # nothing of a new one is lost
            browser.put(f"/repls/{repl}/files/hello.py", content=b"print(6 * 7, 'from a file')\n")
            shell = browser.post(f"/repls/{repl}/terminals", json={"cols": 80, "rows": 24}).json()["id"]
            with terminal(browser, repl, shell) as (runner, tab):
                runner.run(tab.until(PROMPT))
                runner.run(tab.type("kept=alive; python3 hello.py\n"))
                runner.run(tab.until("42 from a file"))
            process.kill()
            process.wait(ENDS_S)
        of = pod["metadata"]["labels"]["devex.dev/repl"]
        database, saved = tmp_path / "data" / "devex.sqlite3", tmp_path / "saved"
        backup(database, saved)

        another = devex(tmp_path, "serve", data_dir=tmp_path / "another", **settings)  # with a database of its own
        assert another.returncode == 1
        assert "has the REPLs of another installation of DEVEX" in another.stderr
        with serving(tmp_path, second=True, **settings) as (process, origin, _), sign_in(origin) as browser:
            until(lambda: browser.get(f"/api/repls/{repl}").json()["phase"] == "running")
            assert browser.get(f"/api/repls/{repl}").json()["epoch"] == 1
            with terminal(browser, repl, shell) as (runner, tab):
                runner.run(tab.type("echo $kept $((40 + 3))\n"))
                runner.run(tab.until("alive 43"))
            stop(browser, repl)
            assert cluster.objects.keys() <= {("leases", "devex-leader")}
            assert browser.get(f"/repls/{repl}/files/hello.py").text.startswith("print")
            assert browser.post(f"/api/repls/{repl}/start", params={"wait": True}).json()["phase"] == "running"
            ran = browser.post(f"/repls/{repl}/exec", json={"command": "python3 hello.py"}).json()
            assert (ran["exit_code"], ran["output"]) == (0, "42 from a file\n"), ran

            see_its_program(browser, kubelet, repl)

            browser.put(f"/repls/{repl}/files/third.txt", content=b"of the third epoch")
            assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201
            cluster.allows = lambda asked: asked["resource"] != "secrets"
            checked = devex(tmp_path, "doctor", **settings)
            assert checked.returncode == 1
            assert "ok    cluster: The API server answers; REPLs run in devex-repls." in checked.stdout
            assert RIGHTS in checked.stdout
            assert "sandbox" not in checked.stdout

        # A database of the first epoch, and a store that has versions of the third, of a pod that runs on.
        put_back(saved, database)
        later = {"devex.dev/repl": of, "devex.dev/epoch": "7", "app.kubernetes.io/name": "devex-repl"}
        cluster.put("deployments", {"metadata": {"name": "later", "labels": later}, "spec": {"replicas": 0}})
        assert "it goes on" in devex(tmp_path, "recover", **settings).stdout
        with closing(sqlite3.connect(database)) as opened:
            assert opened.execute("SELECT epoch FROM repls").fetchall() == [(7,)]  # more than the newest version's
        cluster.remove("deployments", "later")
        put_back(saved, database)
        assert "it goes on from version 3-" in devex(tmp_path, "recover", **settings).stdout
        with serving(tmp_path, second=True, **settings) as (_, origin, _), sign_in(origin) as browser:
            until(lambda: browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201)
            assert browser.get(f"/api/repls/{repl}").json()["epoch"] == 3
            assert "seen" in browser.get(f"/repls/{repl}/files/main.py").text
            stop(browser, repl)
