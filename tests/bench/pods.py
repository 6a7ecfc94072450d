"""What REPLs as pods cost the control plane: manifests, unchanged REPLs, and the links to their proxies.

The API server is the tests' own; links go over loopback, with a process at each end.
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from statistics import median

from websockets.asyncio.client import connect

from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, KINDS, PODS, Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.dependents import Dependents
from orchestrator.backends.kubernetes.manifests import OURS
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.backends.kubernetes.watching import View
from orchestrator.domain import Goal, Limits, Phase, Repl
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.bench.figures import Measured, percentile
from tests.bench.linked import PIECE, PIECES
from tests.contracts.backend import make_spec
from tests.contracts.records import make_repl
from tests.orchestrator.conftest import make_template
from tests.orchestrator.fakes import ManualClock
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, served
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.kubelet import Nodes

REPLS = 1_000
ROUNDS = 10
MANIFESTS = 300
ECHOES = 2_000
NO_STORE = S3Config(endpoint_url="http://127.0.0.1:9", bucket="none", access_key="none", secret_key="none")
WAIT_S = 120.0


def manifest() -> Measured:
    """Milliseconds for all objects of an incarnation, as the JSON that is sent."""
    taken = []
    for number in range(MANIFESTS):
        spec = make_spec(f"repl{number}")
        begun = time.perf_counter()
        made = [manifests.deployment(spec, CLUSTER), *manifests.dependents(spec, CLUSTER, bytes(32), "uid", "slug")]
        json.dumps(made)
        taken.append((time.perf_counter() - begun) * 1000)
    return Measured(median(taken))


class _Counting(MemoryRecords):
    asked = 0

    async def get(self, repl_id: str) -> Repl | None:
        self.asked += 1
        return await super().get(repl_id)


def reconcile() -> Measured:
    """Milliseconds of CPU for one look at REPLS that run and are as they are wanted."""
    return Measured(asyncio.run(_reconcile()))


async def _reconcile() -> float:
    clock, records, limits = ManualClock(), _Counting(), Limits(idle_stop_s=1e9)
    async with _running(REPLS) as (cluster, backend):
        for number in range(REPLS):
            up = make_repl(number, phase=Phase.RUNNING, goal=Goal.RUN, epoch=1, phase_at=clock.now())
            await records.insert(up)
        orchestrator = Orchestrator(
            backend=backend, records=records, templates={"python": make_template()}, clock=clock, limits=limits
        )
        async with orchestrator, asyncio.timeout(WAIT_S):
            while any(backend.runner_app(f"repl{number}") is None for number in range(REPLS)):
                await asyncio.sleep(0.1)
            await _quiet(cluster)
            taken = []
            for _ in range(ROUNDS):
                before, writes = records.asked, _writes(cluster)
                begun_s = time.process_time()
                await clock.advance(limits.resync_s)
                while records.asked < before + REPLS:
                    await asyncio.sleep(0)
                taken.append((time.process_time() - begun_s) * 1000)
                assert _writes(cluster) == writes, "something was done about what is as it should be"
    return median(taken)


async def _quiet(cluster: ClusterApi) -> None:
    """Until what was tried again while so many were found at once has come to its end."""
    before = -1
    while before != (before := _writes(cluster)):
        await asyncio.sleep(3)


def _writes(cluster: ClusterApi) -> int:
    return sum(method != "GET" and "/leases/" not in path for method, path in cluster.requests)


def watched() -> Measured:
    """MiB of the views of REPLS, with their pods."""
    return Measured(asyncio.run(_watched()))


async def _watched() -> float:
    async with _running(REPLS) as (cluster, _), Api(client_of(cluster), CLUSTER.namespace) as api:
        deployments = View(api, DEPLOYMENTS, OURS, lambda found: None)
        dependents = Dependents(api, OURS, deployments, with_ingress=False)
        views = [deployments, View(api, PODS, OURS, lambda found: None), *dependents.views.values()]
        tracemalloc.start()
        watching = [asyncio.create_task(view.run()) for view in views]
        for view in views:
            await view.listed.wait()
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
    return taken / (1 << 20)


@asynccontextmanager
async def _running(count: int) -> AsyncIterator[tuple[ClusterApi, KubernetesBackend]]:
    """A cluster with pods that run, and a backend that has not seen them yet."""
    async with served() as cluster, Nodes(cluster) as nodes:
        api, versions = Api(client_of(cluster), CLUSTER.namespace), Versions(Workers(), spec_of(NO_STORE))
        backend = KubernetesBackend(api, CLUSTER, versions, dial_of=nodes.dial_of, secret=SECRET)
        for number in range(count):
            spec = make_spec(f"repl{number}")
            cluster.put("secrets", manifests.secret(spec, CLUSTER, backend.key_of((spec.repl_id, 1)), "slug"))
            made = manifests.deployment(spec, CLUSTER)
            up = cluster.put("deployments", {**made, "spec": {**made["spec"], "replicas": 1}})
            for one in manifests.dependents(spec, CLUSTER, b"", up["metadata"]["uid"], spec.repl_id):
                if one["kind"] != "Secret":
                    cluster.put(KINDS[one["kind"]].plural, one)
        yield cluster, backend


def echo() -> Measured:
    """Milliseconds that a keystroke's way there and back is longer by a link; beside it the whole way."""
    with _program("pod") as pod, _program("gateway", str(pod)) as gateway:
        direct, forwarded = asyncio.run(_echoes(pod, gateway))
    whole = percentile(forwarded, 0.5)
    return Measured(whole - percentile(direct, 0.5), beside={"there and back by a link": whole})


async def _echoes(*ports: int) -> list[list[float]]:
    """In turns, so that both meet the same moments of the machine."""
    first, second = [await connect(f"ws://127.0.0.1:{port}/echo", compression=None, proxy=None) for port in ports]
    taken: list[list[float]] = [[], []]
    for _ in range(ECHOES):
        for way, ws in enumerate((first, second)):
            begun = time.perf_counter()
            await ws.send(b"x")
            await ws.recv()
            taken[way].append((time.perf_counter() - begun) * 1000)
    await first.close()
    await second.close()
    return taken


def throughput() -> Measured:
    """MB/s of a download by a link; its limit is the same without one."""
    with _program("pod") as pod, _program("gateway", str(pod)) as gateway:
        return Measured(_mb_s(gateway), limit=_mb_s(pod))


def _mb_s(port: int) -> float:
    wanted = PIECES * len(PIECE)
    with socket.create_connection(("127.0.0.1", port)) as browser:
        begun = time.perf_counter()
        browser.sendall(b"GET /bytes HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        received, room = 0, bytearray(1 << 20)
        while taken := browser.recv_into(room):
            received += taken
        took_s = time.perf_counter() - begun
    assert received > wanted
    return wanted / took_s / 1e6


@contextmanager
def _program(*arguments: str) -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.linked", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout
        try:
            yield int(program.stdout.readline())
        finally:
            program.kill()
