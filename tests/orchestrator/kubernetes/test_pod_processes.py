"""The containers' two programs as processes of this machine, and the control plane's end of their control connection.

What containers add to it is for `test_pods`.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from orchestrator.backends.kubernetes.control import PodControl
from orchestrator.backends.kubernetes.forward import Forward, Unreachable
from orchestrator.domain import Size
from runner.agent import install
from runner.forwarding.keys import Incarnation
from runner.snapshots.stores.asking import answered
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.signing import S3Signer
from tests.orchestrator.kubernetes.links import KEY, as_ada, forward_to, listening
from tests.ports import free_port
from tests.runner.proxy.stage import PYTHON, Tab

DEADLINE_S = 60.0
ROOT = Path(__file__).resolve().parents[3]


class Pod:
    """Its volumes are folders; `epoch` rises with every start."""

    def __init__(self, folder: Path, store: S3Store) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.store = store
        self.epoch = 0
        self.activities: list[str] = []
        self.ready = asyncio.Event()
        self._stack = AsyncExitStack()
        self._programs: list[subprocess.Popen[bytes]] = []
        install(folder / "opt", PYTHON)
        self.port = free_port()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()
        for program in self._programs:
            program.kill()
            program.wait()

    def start(self, *, instance: str = "pod-uid") -> None:
        """With empty volumes."""
        self.epoch += 1
        here = self.folder / str(self.epoch)
        for name in ("key", "sockets", "cache", "workspace"):
            (here / name).mkdir(parents=True)
        self.workspace = here / "workspace"
        (here / "key" / "key").write_bytes(KEY)
        told = {"environment": {"PATH": os.defpath, "TERM": "xterm"}, "run_command": "echo ran", "size": asdict(Size())}
        (here / "key" / "spec.json").write_text(json.dumps({**told, "autosave_s": 30.0}))
        environment = {
            "PATH": os.defpath, "PYTHONPATH": str(ROOT),
            "DEVEX_REPL_ID": "abc", "DEVEX_EPOCH": str(self.epoch), "DEVEX_POD_UID": instance,
            "DEVEX_KEY_DIR": str(here / "key"), "DEVEX_WORKSPACE": str(self.workspace),
            "DEVEX_SOCKETS": str(here / "sockets"), "DEVEX_CACHE": str(here / "cache"),
            "DEVEX_LINK_PORT": str(self.port),
        }  # fmt: skip
        self.proxy = subprocess.Popen([sys.executable, "-m", "runner.proxy"], env=environment, cwd=here)
        self._programs.append(self.proxy)
        agent = [PYTHON, "-I", "-S", str(self.folder / "opt" / "agent.py"), str(here / "sockets" / "agent.sock")]
        self._programs.append(subprocess.Popen(agent, env={"PATH": os.defpath}, cwd=self.workspace))
        self.forward = forward_to(self.port, KEY, Incarnation("abc", self.epoch, instance))

    async def listens(self) -> None:
        async with asyncio.timeout(DEADLINE_S), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    (await client.get(f"http://127.0.0.1:{self.port}/health")).raise_for_status()
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                else:
                    return

    async def claim(self) -> None:
        """Until the agent is there, too."""
        await self._stack.enter_async_context(self.controlled(self.forward, self.ready, self.activities))
        port = await self._stack.enter_async_context(listening(as_ada(self.forward)))
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, timeout=DEADLINE_S, trust_env=False)
        self._stack.push_async_callback(self.http.aclose)

    @asynccontextmanager
    async def controlled(self, forward: Forward, ready: asyncio.Event, activities: list[str]) -> AsyncIterator[None]:
        """By one server of a control plane."""
        signer = S3Signer(self.store, "abc/", self.epoch)
        ready.clear()

        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            return await answered(signer, question)

        control = PodControl(
            forward,
            answer=answer,
            on_ready=lambda there: ready.set() if there else ready.clear(),
            on_activity=activities.append,
        )
        controlling = asyncio.create_task(control.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await ready.wait()
            yield
        finally:
            controlling.cancel()
            await asyncio.wait([controlling])

    async def leave(self) -> None:
        """As a control plane that goes."""
        await self._stack.aclose()
        self.forward.close()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.proxy.wait, DEADLINE_S)

    async def comes_back(self, path: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            while (answer := await self.http.get(f"/files/{path}")).status_code != 200:
                await asyncio.sleep(0.05)
        return answer.text


@pytest.fixture
async def pod(tmp_path: Path, store: S3Store) -> AsyncIterator[Pod]:
    async with Pod(tmp_path, store) as pod:
        pod.start()
        await pod.listens()
        yield pod


async def test_who_has_not_claimed_it_is_not_served(pod: Pod) -> None:
    async with listening(as_ada(pod.forward)) as port, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/tree")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unclaimed")
        with pytest.raises(InvalidStatus):
            async with connect(f"ws://127.0.0.1:{port}/events", proxy=None):
                pass
    await pod.claim()
    assert (await pod.http.get("/tree")).status_code == 200


async def test_nobody_but_the_control_plane_controls_it(pod: Pod) -> None:
    await pod.claim()
    with pytest.raises(InvalidStatus):
        async with connect(f"{pod.url.replace('http', 'ws')}/control", proxy=None):
            pass


async def test_terminals_files_and_runs(pod: Pod) -> None:
    await pod.claim()
    assert (await pod.http.put("/files/main.sh", content="echo from a file")).status_code == 201
    terminal = (await pod.http.post("/terminals", json={})).json()["id"]
    url = f"{pod.url.replace('http', 'ws')}/terminals/{terminal}?after=0"
    async with connect(url, compression=None, proxy=None) as socket:
        tab = Tab(socket)
        await tab.type("sh main.sh; echo $((6 * 7))\n")
        await tab.until("42\r\n")
        assert b"from a file" in tab.text
    ran = (await pod.http.post("/exec", json={"command": "pwd; id -u"})).json()
    assert ran["exit_code"] == 0
    assert {"keystroke", "edit"} <= set(pod.activities)


async def test_ports_of_the_proxy_are_not_told_as_those_of_programs(pod: Pod) -> None:
    await pod.claim()
    ours = free_port()
    async with connect(f"{pod.url.replace('http', 'ws')}/events", compression=None, proxy=None) as events:
        await pod.http.put("/files/serve.py", content=f"import socket as s; s.create_server(('', {ours})).accept()")
        terminal = (await pod.http.post("/terminals", json={})).json()["id"]
        url = f"{pod.url.replace('http', 'ws')}/terminals/{terminal}?after=0"
        async with connect(url, compression=None, proxy=None) as socket, asyncio.timeout(DEADLINE_S):
            await Tab(socket).type(f"{PYTHON} serve.py\n")
            ports: set[int] = set()
            while ours not in ports:
                ports = {one["port"] for one in json.loads(await events.recv()).get("ports", [])}
        assert pod.port not in ports


async def test_versions_go_to_a_store_of_which_it_knows_nothing(pod: Pod) -> None:
    await pod.claim()
    await pod.http.put("/files/kept.txt", content="kept")
    assert (await pod.http.post("/snapshots", json={})).status_code == 201
    environment = Path(f"/proc/{pod.proxy.pid}/environ").read_bytes()
    assert b"tests-secret-key" not in environment
    pod.proxy.kill()
    await pod.ended()
    await pod.leave()
    pod.start()
    await pod.listens()
    await pod.claim()
    assert await pod.comes_back("kept.txt") == "kept"


async def test_a_pod_that_is_told_to_end_saves_what_is_new(pod: Pod) -> None:
    await pod.claim()
    await pod.http.put("/files/last.txt", content="the last words")
    pod.proxy.send_signal(signal.SIGTERM)
    assert await pod.ended() == 0
    await pod.leave()
    pod.start()
    await pod.listens()
    await pod.claim()
    assert await pod.comes_back("last.txt") == "the last words"


async def test_a_control_plane_that_comes_back_finds_everything(pod: Pod) -> None:
    await pod.claim()
    await pod.http.put("/files/a.txt", content="before")
    await pod.leave()
    pod.forward = forward_to(pod.port, KEY, Incarnation("abc", pod.epoch, "pod-uid"))
    await pod.claim()
    assert (await pod.http.get("/files/a.txt")).text == "before"
    assert (await pod.http.post("/snapshots", json={})).status_code == 201


async def test_all_servers_of_a_control_plane_are_told_the_same_and_each_of_them_signs(pod: Pod) -> None:
    await pod.claim()
    told: list[str] = []
    second = forward_to(pod.port, KEY, Incarnation("abc", pod.epoch, "pod-uid"))
    async with pod.controlled(second, asyncio.Event(), told), listening(as_ada(second)) as port:
        assert pod.ready.is_set()
        await pod.http.put("/files/a.txt", content="before")
        async with asyncio.timeout(DEADLINE_S):
            while not ("edit" in told and "edit" in pod.activities):
                await asyncio.sleep(0.01)
        await pod.leave()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert (await client.post("/snapshots", json={}, timeout=DEADLINE_S)).status_code == 201
    second.close()


async def test_a_pod_without_its_secret_says_so(tmp_path: Path) -> None:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "DEVEX_KEY_DIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-m", "runner.proxy"], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr == "The proxy cannot start: The variable DEVEX_REPL_ID is not set.\n"


async def test_a_pod_of_another_uid_is_not_spoken_to(tmp_path: Path, store: S3Store) -> None:
    async with Pod(tmp_path, store) as pod:
        pod.start(instance="another-uid")
        await pod.listens()
        forward = forward_to(pod.port, KEY, Incarnation("abc", pod.epoch, "pod-uid"))
        async with listening(as_ada(forward)) as port, httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/tree")
            assert answer.status_code == 500


def test_unreachable_is_retryable() -> None:
    assert Unreachable().retryable
