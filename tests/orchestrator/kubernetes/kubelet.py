"""What controllers and a kubelet do, for tests: a Deployment's pod as two processes of this machine, or as none.

Containers are left out, and with them all that separates the two; see `test_pods` for those.
"""

import asyncio
import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect

from orchestrator.backends.kubernetes.forward import Dial
from runner.agent import install
from runner.forwarding import wire
from runner.forwarding.keys import Incarnation
from runner.forwarding.serving import Links
from runner.proxy.control import Control
from tests.orchestrator.kubernetes.cluster_api import ClusterApi
from tests.orchestrator.kubernetes.links import listening
from tests.ports import free_port
from tests.runner.proxy.stage import PYTHON

ROOT = Path(__file__).resolve().parents[3]
PROXY = [sys.executable, "-m", "runner.proxy"]
Object = dict[str, Any]


@dataclass
class PodProcesses:
    """`volumes` are folders: tmp, sockets and key, workspace and cache if they are not on a `disk` that outlives it."""

    volumes: Path
    port: int
    preview_port: int
    environment: dict[str, str]  # the proxy's
    proxy: subprocess.Popen[bytes]
    command: list[str]  # of the programs
    agent: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        volumes: Path,
        agent: Path,
        secret: dict[str, bytes],
        identity: dict[str, str],
        disk: Path | None = None,
    ) -> "PodProcesses":
        """Its sidecar; see `listens`. `agent` is where it is installed, `identity` says which pod it is."""
        workspace, cache, tmp = ((disk or volumes) / "workspace", (disk or volumes) / "cache", volumes / "tmp")
        for folder in (volumes / "key", volumes / "sockets", volumes / "assumed", workspace, cache, tmp):
            folder.mkdir(parents=True, exist_ok=True)
        for name, content in secret.items():
            (volumes / "key" / name).write_bytes(content)
        if "spec.json" in secret:  # a slot has none
            told = json.loads(secret["spec.json"])
            told["environment"] = {name: _mounted(value, workspace, tmp) for name, value in told["environment"].items()}
            (volumes / "key" / "spec.json").write_text(json.dumps(told))
        port, preview_port = free_port(), free_port()
        environment = {
            "PATH": os.defpath, "PYTHONPATH": str(ROOT), **identity,
            "DEVEX_KEY_DIR": str(volumes / "key"), "DEVEX_WORKSPACE": str(workspace),
            "DEVEX_SOCKETS": str(volumes / "sockets"), "DEVEX_CACHE": str(cache),
            "DEVEX_LINK_PORT": str(port), "DEVEX_PREVIEW_PORT": str(preview_port),
            "DEVEX_ASSUMED": str(volumes / "assumed"),
        }  # fmt: skip
        proxy = subprocess.Popen(PROXY, env=environment, cwd=volumes)
        command = [PYTHON, "-I", "-S", str(agent / "agent.py"), str(volumes / "sockets" / "agent.sock")]
        return cls(volumes, port, preview_port, environment, proxy, command)

    def restart_proxy(self) -> None:
        """As a kubelet does with a container that has ended."""
        self.proxy.kill()
        self.proxy.wait()
        self.proxy = subprocess.Popen(PROXY, env=self.environment, cwd=self.volumes)

    async def listens(self) -> None:
        """The sidecar is up, and so are, from then on, the programs."""
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    (await client.get(f"http://127.0.0.1:{self.port}/health")).raise_for_status()
                except httpx.HTTPError:
                    await asyncio.sleep(0.02)
                else:
                    break
        if self.agent is None:
            workspace = self.environment["DEVEX_WORKSPACE"]
            self.agent = subprocess.Popen(self.command, env={"PATH": os.defpath}, cwd=workspace)

    async def dial(self) -> ClientConnection:
        url = f"ws://127.0.0.1:{self.port}{wire.PATH}"
        return await connect(url, compression=None, max_size=wire.FRAME_MOST_BYTES, proxy=None)

    async def end(self) -> None:
        """As a kubelet does: programs first, the sidecar after them, each asked nicely."""
        for program in filter(None, (self.agent, self.proxy)):
            program.send_signal(signal.SIGTERM)
            await asyncio.to_thread(program.wait, 60)

    def kill(self) -> None:
        for program in filter(None, (self.agent, self.proxy)):
            program.kill()
            program.wait()


class Controllers:
    """`async with`. A Deployment's pods, made and replaced as by a ReplicaSet; `started` and `stopped` are a kubelet's.
    Nothing starts while `paused`, and no more than a quota's `most`."""

    def __init__(self, api: ClusterApi) -> None:
        self.paused = False
        self.most = 1000
        self._api = api
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping: set[str] = set()
        api.on_change = self._seen

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._api.on_change = lambda plural, what, found: None
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def started(self, pod: Object) -> None:
        raise NotImplementedError

    async def stopped(self, pod: Object) -> None:
        raise NotImplementedError

    def fail(self, uid: str, reason: str = "Evicted") -> None:
        """Of a pod whose processes are gone."""
        self.show(uid, phase="Failed", reason=reason)

    def show(self, uid: str, **status: Any) -> None:
        name = self._name_of(uid)
        self._api.change("pods", name, status={**self._api.objects["pods", name]["status"], **status})

    def pods_of(self, deployment: Object) -> list[Object]:
        """Which count as its replicas."""
        uid = deployment["metadata"]["uid"]
        return [
            one
            for (plural, _), one in self._api.objects.items()
            if plural == "pods"
            and one["metadata"]["ownerReferences"][0]["uid"] == uid
            and not one["metadata"].get("deletionTimestamp")
            and one["status"].get("phase") != "Failed"
        ]

    def _name_of(self, uid: str) -> str:
        found = [
            name
            for (plural, name), one in self._api.objects.items()
            if plural == "pods" and one["metadata"]["uid"] == uid
        ]
        return found[0]

    def _seen(self, plural: str, what: str, found: Object) -> None:
        if plural == "deployments" and what != "DELETED":
            self._replicate(found)
        elif plural == "pods":
            uid = found["metadata"]["uid"]
            if what == "MODIFIED" and found["metadata"].get("deletionTimestamp") and uid not in self._stopping:
                self._stopping.add(uid)  # who asks again changes nothing
                self._own(self._stop(found))
            for owner in [one for (kind, _), one in list(self._api.objects.items()) if kind == "deployments"]:
                if owner["metadata"]["uid"] == found["metadata"]["ownerReferences"][0]["uid"]:
                    self._replicate(owner)

    def _replicate(self, deployment: Object) -> None:
        if "deletionTimestamp" in deployment["metadata"]:
            return
        pods = self.pods_of(deployment)
        if not deployment["spec"].get("replicas"):
            for pod in pods:
                self._api.end(pod["metadata"]["name"])
        elif not pods and not self.paused and "status" not in deployment:
            if sum(plural == "pods" for plural, _ in self._api.objects) < self.most:
                self._start(deployment)
            else:
                refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
                self._api.change("deployments", deployment["metadata"]["name"], status={"conditions": [refused]})

    def _start(self, deployment: Object) -> None:
        template, owner = deployment["spec"]["template"], deployment["metadata"]
        metadata = {
            **template["metadata"],
            "name": f"{owner['name']}-{secrets.token_hex(3)}",
            "ownerReferences": [{"kind": "Deployment", "name": owner["name"], "uid": owner["uid"]}],
        }
        pod = {"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}}
        self._own(self.started(self._api.put("pods", pod)))

    async def _stop(self, pod: Object) -> None:
        await self.stopped(pod)
        self._api.remove("pods", pod["metadata"]["name"])

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


RUNNING: Object = {
    "phase": "Running",
    "podIP": "127.0.0.1",
    "initContainerStatuses": [{"name": "proxy", "state": {"running": {}}}],
    "containerStatuses": [{"name": "runner", "state": {"running": {}}}],
}


class Kubelet(Controllers):
    """`pods` by uid."""

    def __init__(self, api: ClusterApi, folder: Path) -> None:
        super().__init__(api)
        self.pods: dict[str, PodProcesses] = {}
        self._folder = folder
        self._used_s: dict[str, tuple[float, float]] = {}
        install(folder / "opt", PYTHON)
        api.metrics = self._metrics
        api.port_of = lambda pod, port: self.pods[api.objects["pods", pod]["metadata"]["uid"]].port

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        for pod in self.pods.values():
            pod.kill()

    def dial_of(self, pod: Mapping[str, Any]) -> Dial:
        return self.pods[pod["metadata"]["uid"]].dial

    def evict(self, uid: str, reason: str = "Evicted") -> None:
        """Without grace."""
        self.pods.pop(uid).kill()
        self.fail(uid, reason)

    async def started(self, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        name = next(one["secret"]["secretName"] for one in spec["volumes"] if "secret" in one)
        held = self._api.objects["secrets", name]["data"]
        variables = {one["name"]: one.get("value", metadata["uid"]) for one in spec["initContainers"][0]["env"]}
        secret = {name: base64.b64decode(value) for name, value in held.items()}
        volumes = self._folder / metadata["uid"]
        claimed = [
            one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "persistentVolumeClaim" in one
        ]
        disk = self._folder / claimed[0] if claimed else None
        processes = PodProcesses.start(volumes, self._folder / "opt", secret, variables, disk)
        self.pods[metadata["uid"]] = processes
        await processes.listens()
        if ("pods", metadata["name"]) in self._api.objects:
            self._api.change("pods", metadata["name"], status=RUNNING)

    async def stopped(self, pod: Object) -> None:
        processes = self.pods.pop(pod["metadata"]["uid"], None)
        if processes is not None:
            await processes.end()

    def _metrics(self) -> list[Object]:
        """As a metrics server: the mean rate since it last looked."""
        found = []
        for uid, pod in self.pods.items():
            programs = _with_children(pod.agent.pid) if pod.agent else []
            used_s, now_s = sum(sum(one.cpu_times()[:4]) for one in programs), time.monotonic()
            before_s, then_s = self._used_s.get(uid, (0.0, now_s - 1.0))
            self._used_s[uid] = used_s, now_s
            rate = max(0.0, used_s - before_s) / max(now_s - then_s, 1e-3)
            metadata = self._api.objects["pods", self._name_of(uid)]["metadata"]
            usage = {"name": "runner", "usage": {"cpu": f"{round(rate * 1e9)}n"}}
            found.append({"metadata": metadata, "containers": [usage]})
        return found


class Nodes(Controllers):
    """Pods without processes: what stands for a proxy runs here, holds its key, and is ready as soon as it is claimed.

    `saved` are the incarnations whose last version was asked for, in order.
    """

    def __init__(self, api: ClusterApi) -> None:
        super().__init__(api)
        self.saved: list[tuple[str, int]] = []
        self.assumed: list[tuple[str, str, int]] = []  # by slots' pods: uid, REPL and epoch
        self.status = RUNNING  # of the pods that start from now on
        self.held: dict[str, asyncio.Event] = {}  # by uid: pods that are asked to end, and do not before
        self._links: dict[str, Links] = {}  # by uid
        self._port = 0

    async def __aenter__(self) -> Self:
        self._listening = listening(self)
        self._port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await super().__aexit__()
        await self._listening.__aexit__(None, None, None)

    def dial_of(self, pod: Mapping[str, Any]) -> Dial:
        async def dial() -> ClientConnection:
            url = f"ws://127.0.0.1:{self._port}{wire.PATH}?{pod['metadata']['uid']}"
            return await connect(url, compression=None, max_size=wire.FRAME_MOST_BYTES, proxy=None)

        return dial

    async def started(self, pod: Object) -> None:
        meta = pod["metadata"]
        key = base64.b64decode(self._api.objects["secrets", meta["ownerReferences"][0]["name"]]["data"]["key"])
        if (slot := meta["labels"].get("devex.dev/slot")) is not None:
            self._links[meta["uid"]] = Links(self._assuming(meta["uid"]), key, Incarnation(slot, 0, meta["uid"]))
        else:
            of = meta["labels"]["devex.dev/repl"], int(meta["labels"]["devex.dev/epoch"])
            self._links[meta["uid"]] = self._links_of(Incarnation(*of, meta["uid"]), key)
        if ("pods", meta["name"]) in self._api.objects:
            self._api.change("pods", meta["name"], status=self.status)

    def _assuming(self, uid: str) -> ASGIApp:
        """A slot's proxy: what it is told it is, and answers once more to who did not hear the answer."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            told = await Request(scope, receive).json()
            self.assumed.append((uid, told["repl"], told["epoch"]))
            of = Incarnation(told["repl"], told["epoch"], uid)
            self._links[uid] = self._links_of(of, base64.b64decode(told["key"]))
            await JSONResponse({})(scope, receive, send)

        return app

    def _links_of(self, of: Incarnation, key: bytes) -> Links:
        control = Control()
        control.show(True)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                await control(scope, receive, send)
                return
            if scope["path"] == "/save":
                self.saved.append((of.repl_id, of.epoch))
            await JSONResponse({"version": f"{of.epoch}-1"})(scope, receive, send)

        return Links(app, key, of)

    async def stopped(self, pod: Object) -> None:
        if (held := self.held.get(pod["metadata"]["uid"])) is not None:
            await held.wait()
        self._links.pop(pod["metadata"]["uid"], None)

    def lose(self, uid: str) -> None:
        """Its processes end, and nobody has noticed."""
        del self._links[uid]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        links = self._links.get(scope["query_string"].decode())
        if links is not None:
            await links(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close"})


def _mounted(value: str, workspace: Path, tmp: Path) -> str:
    """Where there are no mounts, the volumes lie elsewhere."""
    places = {"workspace": workspace, "tmp": tmp}
    return re.sub(r"/(workspace|tmp)\b", lambda found: str(places[found[1]]), value)


def _with_children(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
