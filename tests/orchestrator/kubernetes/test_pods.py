"""The pod of `manifests.py` really runs: in containers, from images of k8s/images, with the control plane's end of it.

See `podman.py` for what podman does otherwise than a kubelet.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.kubernetes.cluster import Cluster, Ingress, Peer
from orchestrator.backends.kubernetes.forward import Unreachable
from orchestrator.backends.kubernetes.manifests import LINK_PORT, PREVIEW_PORT, deployment, secret
from orchestrator.backends.kubernetes.pods import ClaimedPod
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.domain import Egress, Size
from runner.forwarding.keys import Impostor, Incarnation
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from runner.viewer import NOBODY
from tests.orchestrator.kubernetes.links import as_ada, listening
from tests.orchestrator.kubernetes.podman import BASE, PREFIX, TAG, PlayedPod, Podman, for_podman
from tests.runner.proxy.stage import Tab
from tests.stores import SECRET_KEY, Server

pytestmark = pytest.mark.xdist_group("podman")

DEADLINE_S = 60.0
KEY = b"the key that only the proxy knows"
USERS_SECRET = "which the user gave to the programs"
SLUG = "calm-otter"
CLUSTER = Cluster(
    namespace="devex-repls",
    proxy_image=f"{PREFIX}devex-proxy:{TAG}",
    image=f"{PREFIX}devex-python:{TAG}",
    ingress=Ingress(class_name="nginx", controller=Peer(namespace="ingress-nginx")),
)
SPEC = SandboxSpec(
    repl_id="abc123",
    epoch=1,
    template="python",
    environment={"TOKEN": USERS_SECRET},
    run_command="python3 main.py",
    size=Size(memory_bytes=256 << 20, cpus=0.5),
    egress=Egress.NONE,
)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    with Podman() as podman:
        podman.import_base()
        podman.build("proxy", "python")
        yield podman


def played(podman: Podman, epoch: int) -> PlayedPod:
    spec = replace(SPEC, epoch=epoch)
    template = deployment(spec, CLUSTER)["spec"]["template"]
    return PlayedPod(podman, f"repl-{epoch}", template, secret(spec, CLUSTER, KEY, SLUG))


class Claimed:
    """A pod as the control plane has it, and Ada's way to it."""

    def __init__(self, pod: ClaimedPod, url: str, client: httpx.AsyncClient) -> None:
        self.pod = pod
        self.url = url
        self.http = client

    async def execute(self, command: str) -> str:
        """-> what it wrote; it must succeed."""
        ran = (await self.http.post("/exec", json={"command": command})).json()
        assert ran["exit_code"] == 0, ran
        return str(ran["output"]).replace("\r\n", "\n")  # a terminal's

    async def python(self, script: str) -> Any:
        """-> what it printed, as JSON."""
        await self.http.put("/files/.cache/script.py?parents=1", content=script)
        return json.loads(await self.execute("python3 .cache/script.py"))

    async def comes_back(self, path: str) -> str:
        async with asyncio.timeout(DEADLINE_S):
            while (answer := await self.http.get(f"/files/{path}")).status_code != 200:
                await asyncio.sleep(0.05)
        return answer.text


@asynccontextmanager
async def claimed(pod: PlayedPod, epoch: int, versions: Versions, server: Server) -> AsyncIterator[Claimed]:
    """The agent is there, too. What the pod asks of the store's address comes to the store."""
    answers = asyncio.Event()
    async with store_within(pod, server):
        control = ClaimedPod(
            Incarnation(SPEC.repl_id, epoch, pod.uid),
            pod.dial,
            KEY,
            answer=versions.answer_of(SPEC.repl_id, epoch),
            on_activity=lambda _: None,
            changed=lambda: answers.set() if control.answers else None,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                await answers.wait()
            async with listening(as_ada(control.forward)) as port:
                url = f"http://127.0.0.1:{port}"
                async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S, trust_env=False) as client:
                    yield Claimed(control, url, client)
        finally:
            await control.close()


@asynccontextmanager
async def store_within(pod: PlayedPod, server: Server) -> AsyncIterator[None]:
    """Its port on the pod's loopback, in the place of a network."""
    port = httpx.URL(server.url).port
    assert port

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def carry_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as both:
            both.create_task(carry(reader, there[1]))
            both.create_task(carry(there[0], writer))

    carrying: set[asyncio.Task[None]] = set()

    has_ended = False

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if has_ended:  # a pod saves when it likes
            writer.transport.abort()
        else:
            carrying.add(asyncio.create_task(carry_both(reader, writer)))

    listener = pod.within(lambda: socket.create_server(("127.0.0.1", port)))
    async with await asyncio.start_server(serve, sock=listener):
        yield
        has_ended = True
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


@pytest.fixture(scope="class")
def bucket(s3: Server) -> S3Config:
    return s3.config()


@pytest.fixture(scope="class")
def pod(podman: Podman) -> Iterator[PlayedPod]:
    with played(podman, epoch=1) as pod:
        yield pod


@pytest.fixture
async def versions(bucket: S3Config) -> AsyncIterator[Versions]:
    async with Versions(Workers(), spec_of(bucket)) as versions:
        yield versions


@pytest.fixture
async def repl(pod: PlayedPod, versions: Versions, s3: Server) -> AsyncIterator[Claimed]:
    async with claimed(pod, 1, versions, s3) as repl:
        yield repl


class TestWhileItRuns:
    async def test_terminals_files_runs_and_ports(self, repl: Claimed) -> None:
        await repl.http.put(
            "/files/main.py", content="import http.server as s; s.test(s.SimpleHTTPRequestHandler, port=8000)"
        )
        terminal = (await repl.http.post("/terminals", json={})).json()["id"]
        async with connect(f"{repl.url.replace('http', 'ws')}/terminals/{terminal}?after=0", proxy=None) as socket:
            tab = Tab(socket)
            await tab.type("tty; echo $((6 * 7)); ls main.py\n")
            await tab.until("42\r\nmain.py\r\n")
            assert b"/dev/pts/" in tab.text
        assert (await repl.http.post("/run", json={})).status_code == 201
        async with connect(f"{repl.url.replace('http', 'ws')}/events", proxy=None) as events:
            ports: set[int] = set()
            async with asyncio.timeout(DEADLINE_S):
                while 8000 not in ports:
                    told = json.loads(await events.recv())
                    ports = {one["port"] for one in told.get("ports", [])}
        assert not ports & {LINK_PORT, PREVIEW_PORT}, "a preview would show the proxy's"
        async with asyncio.timeout(DEADLINE_S):
            while (page := await repl.http.get("/ports/8000/main.py")).status_code != 200:
                await asyncio.sleep(0.05)
        assert "SimpleHTTPRequestHandler" in page.text

    async def test_what_programs_are(self, repl: Claimed) -> None:
        told = await repl.python(
            """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limits = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")
print(json.dumps({
    "ids": [os.getuid(), os.getgid(), os.getgroups()],
    "capabilities": [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "locked": [status["NoNewPrivs"].strip(), status["Seccomp"].strip()],
    "memory": [int(open(path).read()) for path in limits if os.path.exists(path)],
    "first": open("/proc/1/cmdline").read().split("\\0")[1:-1],
    "programs": [open(f"/proc/{pid}/cmdline").read() for pid in os.listdir("/proc") if pid.isdecimal()],
    "environment": dict(os.environ),
}))
"""
        )
        uid = CLUSTER.uid
        assert told["ids"] == [uid, uid, [uid]]
        assert told["capabilities"] == [0] * 5
        assert told["locked"] == ["1", "2"]
        assert told["memory"] == [SPEC.size.memory_bytes]
        assert told["first"] == ["-I", "-S", "/opt/devex/agent.py", "/run/devex/agent.sock"]
        assert not [one for one in told["programs"] if "runner.proxy" in one]
        assert told["environment"]["TOKEN"] == USERS_SECRET
        assert not [one for one in told["environment"] if one.startswith(("DEVEX_", "KUBERNETES_"))]

    async def test_what_programs_cannot_change(self, repl: Claimed) -> None:
        told = await repl.python(
            """
import errno, json, os, socket
def refused(what, *arguments):
    try:
        what(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
def bind(**options):
    with socket.socket() as taken:
        for name in options:
            taken.setsockopt(socket.SOL_SOCKET, getattr(socket, name), 1)
        taken.bind(("", 7601))
print(json.dumps({
    "files": [refused(open, f"{path}/x", "w") for path in ("", "/etc", "/usr", "/opt/devex", "/run", "/run/devex")],
    "socket": [
        refused(os.unlink, "/run/devex/agent.sock"),
        refused(os.rename, "/run/devex/agent.sock", "/run/devex/other"),
        refused(os.symlink, "/tmp/mine.sock", "/run/devex/mine.sock"),
    ],
    "link": refused(os.link, "/opt/devex/agent.py", "/workspace/agent.py"),
    "port": [refused(bind), refused(lambda: bind(SO_REUSEADDR=1, SO_REUSEPORT=1))],
    "tmp": refused(open, "/tmp/x", "w"),
}))
"""
        )
        assert told["files"] == ["EROFS"] * 6
        assert told["socket"] == ["EROFS"] * 3
        assert told["link"] == "EXDEV"
        assert told["port"] == ["EADDRINUSE"] * 2
        assert told["tmp"] is None

    async def test_no_secret_is_where_programs_look(self, repl: Claimed) -> None:
        """The proxy's key, the store's, and what the proxy is told; the user's own are there for them."""
        for name, to in (("key", "/run/key/key"), ("proxy", "/proc/1/environ"), ("keys", "/run/key")):
            await repl.execute(f"ln -sfn {to} {name}")
            answers = [await repl.http.get(f"/files/{name}"), await repl.http.get(f"/files/{name}/key")]
            assert not [one for one in answers if KEY in one.content or b"DEVEX_POD_UID" in one.content]
        canaries = [KEY.decode()[4:], SECRET_KEY[4:], "DEVEX_POD" + "_UID", USERS_SECRET[4:]]
        told = await repl.python(
            f"""
import json, os
canaries = {[one[:4] + "|" + one[4:] for one in canaries]}
wanted = [one.replace("|", "").encode() for one in canaries]
found = [[] for _ in wanted]
def look(path):
    try:
        with open(path, "rb") as file:
            data = file.read(1 << 20)
    except OSError:
        return
    for at, one in enumerate(wanted):
        if one in data:
            found[at].append(path)
for pid in filter(str.isdecimal, os.listdir("/proc")):
    for name in ("environ", "cmdline", "maps"):
        look(f"/proc/{{pid}}/{{name}}")
for top in ("/workspace", "/run", "/tmp", "/var", "/etc", "/opt", "/dev/shm"):
    for folder, _, files in os.walk(top):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                look(path)
there = filter(os.path.exists, ("/run/key", "/var/cache/devex", "/run/secrets", "/var/run/secrets"))
print(json.dumps([found, list(there)]))
"""
        )
        found, there = told
        assert found[:3] == [[], [], []]
        assert found[3], "the search finds what is there"
        assert there == []

    async def test_whoever_comes_over_loopback_is_a_stranger(self, repl: Claimed, s3: Server) -> None:
        told = await repl.python(
            """
import http.client, json, re
ports = set()
for name in ("tcp", "tcp6"):
    for line in open(f"/proc/net/{name}").readlines()[1:]:
        _, local, _, state = line.split()[:4]
        if state == "0A":
            ports.add(int(local.rpartition(":")[2], 16))
def asked(method, path, port=7601, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    return connection.getresponse().status
paths = ("/", "/tree", "/files/main.py", "/control", "/link", "/docs", "/metrics")
upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
upgrade["Sec-WebSocket-Key"] = "A" * 22 + "=="
print(json.dumps([
    sorted(ports),
    [asked("GET", path) for path in paths] + [asked("POST", path) for path in ("/save", "/flush", "/exec")],
    [asked("GET", path, **upgrade) for path in ("/control", "/events", "/terminals/1")],
    [asked("GET", "/", 7602, Host=host) for host in ("localhost", "8000-calm-otter.localhost")],
]))
"""
        )
        ports, answers, upgrades, previews = told
        assert set(ports) - {8000} == {LINK_PORT, PREVIEW_PORT, httpx.URL(s3.url).port}
        assert set(answers) == {404}
        assert set(upgrades) == {403}
        assert previews == [421, 401]

    async def test_a_second_agent_is_refused(self, repl: Claimed) -> None:
        told = await repl.python(
            """
import json, os, socket, sys
sys.path.insert(0, "/opt/devex")
from runner.protocol.messages import VERSION, Hello, encode
with socket.socket(socket.AF_UNIX) as second:
    second.settimeout(30)
    second.connect("/run/devex/agent.sock")
    second.sendall(encode(Hello(VERSION, os.getpid(), ())))
    print(json.dumps(second.recv(100).decode("latin-1")))
"""
        )
        assert told == ""
        assert await repl.execute("echo still here") == "still here\n"

    async def test_too_much_memory_ends_the_program_that_took_it(self, repl: Claimed) -> None:
        """Where the engine ends one process; a kubelet may end all of the container, as in the test below."""
        command = f"python3 -c 'b = bytearray({2 * SPEC.size.memory_bytes}); b[::4096] = b[::4096]'"
        ran = (await repl.http.post("/exec", json={"command": command})).json()
        assert ran["exit_code"] == 128 + signal.SIGKILL
        assert await repl.execute("echo still here") == "still here\n"

    async def test_a_container_of_programs_that_dies_comes_back(self, repl: Claimed, pod: PlayedPod) -> None:
        await repl.http.put("/files/stays.txt", content="on the pod's disk")
        os.kill(pod.pid("runner"), signal.SIGKILL)
        async with asyncio.timeout(DEADLINE_S):
            while (ran := await repl.http.post("/exec", json={"command": "cat stays.txt"})).status_code != 200:
                await asyncio.sleep(0.05)
        assert ran.json()["output"] == "on the pod's disk"


async def test_what_ends_is_restored_in_the_next(podman: Podman, s3: Server, versions: Versions) -> None:
    """From the version that a new REPL begins with, and from the one that a pod saves when it is told to end."""
    await versions.seed(SPEC.repl_id, {"first/readme.txt": b"as it was created"}, None, None)
    with played(podman, epoch=2) as pod:
        async with claimed(pod, 2, versions, s3) as repl:
            assert await repl.comes_back("first/readme.txt") == "as it was created"
            await repl.execute(
                "umask 022; echo own >private; chmod 600 private; echo 'echo ran' >run.sh; chmod 751 run.sh;"
                "mkdir shut; echo in >shut/in; chmod 700 shut; ln -s run.sh link; chmod 444 first/readme.txt"
            )
            saved = await repl.pod.save("by hand")
            assert await versions.newest(SPEC.repl_id) == saved
            await repl.http.put("/files/last.txt", content="after that")
            await asyncio.to_thread(pod.end)
        assert pod.exit_code("proxy") == 0, pod.logs()
        logs = pod.logs()
    assert KEY.decode() not in logs
    assert "Signature=" not in logs
    assert await versions.newest(SPEC.repl_id) > saved
    with played(podman, epoch=3) as pod:
        async with claimed(pod, 3, versions, s3) as repl:
            assert await repl.comes_back("last.txt") == "after that"
            assert (await repl.http.get("/files/private")).text == "own\n"
            modes = {"private": 600, "run.sh": 751, "shut": 700, "shut/in": 644, "first/readme.txt": 444}
            told = await repl.execute(f"stat -c '%a %u %g %n' {' '.join(modes)}; ./run.sh; readlink link")
    uid = CLUSTER.uid
    assert told == "".join(f"{mode} {uid} {uid} {name}\n" for name, mode in modes.items()) + "ran\nrun.sh\n"


IMPOSTOR = f"""
import base64, hashlib, os, re, socket, time
ready, told = os.pipe()
if os.fork():
    os.read(ready, 1)
    os._exit(0)
os.setsid()  # or it would end with its terminal
os.write(told, b".")
while True:
    try:
        listener = socket.create_server(("", {LINK_PORT}))
        break
    except OSError:
        time.sleep(0.001)
heard = open("heard", "wb", buffering=0)
while True:
    link, _ = listener.accept()
    link.settimeout(5)
    try:
        head = link.recv(65536)
        heard.write(head)
        key = re.search(rb"Sec-WebSocket-Key: (\\S+)", head, re.I)[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key).digest())
        upgrade = b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        link.sendall(upgrade + b"Sec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
        hello = link.recv(65536)
        heard.write(hello)
        link.sendall(bytes([0x82, 65, 2]) + os.urandom(64))
        while more := link.recv(65536):
            heard.write(more)
    except (OSError, TypeError):
        pass
    link.close()
"""


async def test_an_impostor_in_the_proxys_place_is_told_nothing(podman: Podman, s3: Server, versions: Versions) -> None:
    with played(podman, epoch=4) as pod:
        async with claimed(pod, 4, versions, s3) as repl:
            await repl.http.put("/files/impostor.py", content=IMPOSTOR)
            await repl.execute("python3 impostor.py >/dev/null 2>&1")
            heard = pod.volume("workspace") / "heard"
            os.kill(pod.pid("proxy"), signal.SIGKILL)
            async with asyncio.timeout(DEADLINE_S):
                while not heard.exists():
                    await asyncio.sleep(0.02)
            scope = {
                "type": "http", "method": "GET", "path": "/tree", "raw_path": b"/tree", "query_string": b"",
                "headers": [(b"cookie", b"session=of-the-user")], "scheme": "http", "http_version": "1.1",
                "devex.viewer": NOBODY,
            }  # fmt: skip

            async def never(*_: Any) -> Any:
                raise AssertionError("nothing is asked of the browser, and nothing is told to it")

            async def ask() -> None:
                async with asyncio.timeout(DEADLINE_S):
                    while True:
                        with suppress(Unreachable):  # over a link to the proxy that was killed
                            await repl.pod.forward(scope, never, never)

            with pytest.raises(Impostor):
                await ask()
        said = heard.read_bytes()
    assert b"GET /link" in said
    assert b"cookie" not in said.lower()
    assert len(said) < 4096, "a handshake, and random numbers"


def test_podman_runs_the_pod_that_a_cluster_would() -> None:
    """But for where the sidecar is, and for what leads to it from outside."""
    spec = deployment(SPEC, CLUSTER)["spec"]["template"]["spec"]
    played = for_podman(spec)
    proxy, runner = played.pop("containers")
    [sidecar] = spec.pop("initContainers")
    assert sidecar.keys() - proxy.keys() == {"restartPolicy", "ports", "startupProbe", "livenessProbe"}
    assert proxy == {name: sidecar[name] for name in proxy}
    assert [runner] == spec.pop("containers")
    key = spec["volumes"][-1]["secret"]
    assert played == {**spec, "volumes": [*spec["volumes"][:-1], {"name": "key", "secret": {**key, "optional": False}}]}


BOOKKEEPING_APT = f"""
FROM {BASE}
RUN printf '#!/bin/sh\\necho "$@" >>/etc/asked\\n' >/usr/bin/apt-get && chmod 755 /usr/bin/apt-get
"""


def test_an_image_with_packages_asks_debian_for_them(podman: Podman) -> None:
    """No network leads to Debian here: what stands for apt-get notes what it is asked for."""
    podman("build", "--quiet", "--tag", "localhost/bookkeeping:1", "-", told=BOOKKEEPING_APT)
    podman.build("all", base="localhost/bookkeeping:1", packages="")
    update, install = podman("run", "--rm", "--network", "none", f"{PREFIX}devex-all:{TAG}", "cat", "/etc/asked").split(
        "\n"
    )
    assert update == "update -q"
    asked = install.removeprefix("install -y -q --no-install-recommends ").split()
    assert {"python3", "git", "nodejs", "golang-go", "gcc", "default-jdk-headless"} <= set(asked)


def test_the_same_sources_are_the_same_image(podman: Podman) -> None:
    before = podman("image", "inspect", "--format", "{{.Id}}", f"{PREFIX}devex-proxy:{TAG}")
    assert podman.build("proxy") == [before]
