"""Two servers of one control plane: one PostgreSQL, one API server with its kubelet, and a person who meets either."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import connect

from app.storage import database
from app.storage.records import TortoiseRecords
from orchestrator.backends.kubernetes import api, election
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, Api
from orchestrator.backends.kubernetes.backend import LEASE, KubernetesBackend
from orchestrator.backends.kubernetes.election import LeaseElection
from orchestrator.backends.kubernetes.forward import Forward
from orchestrator.backends.kubernetes.manifests import EPOCH, dependents, deployment, name_of
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.clock import SystemClock
from orchestrator.domain import Activity, Limits, Phase
from orchestrator.service import Orchestrator
from runner.forwarding.keys import Incarnation
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from runner.viewer import Viewer
from tests import postgres
from tests.contracts.backend import make_spec
from tests.orchestrator.conftest import make_template
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, refusal
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.kubelet import Kubelet
from tests.orchestrator.kubernetes.links import listening
from tests.orchestrator.kubernetes.test_election import cut_off
from tests.runner.proxy.stage import Tab
from tests.waiting import until

DEADLINE_S = 60.0
OLD = 0  # an epoch before the first
ADA = Viewer("u1", "Ada", can_write=True)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that dies is replaced within seconds."""
    for name, value in {"LEASE_S": 4, "RENEW_WITHIN_S": 3.0, "TRY_S": 1.5, "RETRY_S": 0.2}.items():
        monkeypatch.setattr(election, name, value)
    monkeypatch.setattr(api, "RETRY_MOST_S", 0.5)


@pytest.fixture(scope="module")
def postgres_folder() -> Iterator[Path]:
    with postgres.running() as folder:
        yield folder


@pytest.fixture
async def database_is_open(postgres_folder: Path, tmp_path: Path) -> AsyncIterator[None]:
    admin = await asyncpg.connect(postgres.url(postgres_folder, "postgres"))
    await admin.execute("CREATE DATABASE shared")
    async with database.opened(database.url_of(postgres.url(postgres_folder, "shared"), tmp_path)):
        yield
    await admin.execute("DROP DATABASE shared")
    await admin.close()


@dataclass
class Server:
    """`url` is that of the one REPL there is, to Ada."""

    orchestrator: Orchestrator
    backend: KubernetesBackend
    url: str

    @property
    def identity(self) -> str:
        assert isinstance(self.backend.election, LeaseElection)
        return self.backend.election.identity

    @property
    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=DEADLINE_S)


Serve = Callable[[str], Any]


@pytest.fixture
def serve(cluster: ClusterApi, kubelet: Kubelet, bucket: S3Config, database_is_open: None) -> Serve:
    @asynccontextmanager
    async def serving(name: str) -> AsyncIterator[Server]:
        client = client_of(cluster)
        client.user_agent = name
        versions = Versions(Workers(), spec_of(bucket))
        backend = KubernetesBackend(
            Api(client, CLUSTER.namespace), CLUSTER, versions, dial_of=kubelet.dial_of, secret=SECRET
        )
        orchestrator = Orchestrator(
            backend=backend,
            records=TortoiseRecords(),
            templates={"python": make_template()},
            clock=SystemClock(),
            limits=Limits(resync_s=3600),  # nothing is seen because somebody looked by chance
        )

        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            (repl,) = await orchestrator.list("ada")
            app = orchestrator.runner_app(repl.id)
            assert app is not None
            await as_ada(app)(scope, receive, send)

        async with orchestrator, listening(front) as port:
            yield Server(orchestrator, backend, f"http://127.0.0.1:{port}")

    return serving


async def until_rests(orchestrator: Orchestrator, repl_id: str, stop: Awaitable[Any]) -> None:
    changes = orchestrator.subscribe(repl_id=repl_id)
    await stop
    async with asyncio.timeout(DEADLINE_S):
        while (await orchestrator.get(repl_id)).phase is not Phase.STOPPED:
            await anext(changes)


def removed(cluster: ClusterApi) -> list[str]:
    """Who was asked to be, in order."""
    return [path for method, path in cluster.requests if method == "DELETE" and "/deployments/" in path]


def pods(cluster: ClusterApi, epoch: int) -> list[dict[str, Any]]:
    found = (found for (kind, _), found in cluster.objects.items() if kind == "pods")
    return [pod for pod in found if pod["metadata"]["labels"][EPOCH] == str(epoch)]


async def refused(forward: Forward) -> tuple[int, str]:
    """What the pod answers to a person."""
    async with listening(as_ada(forward)) as port, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/tree")
    return answer.status_code, answer.json()["error"]["code"]


def as_ada(app: ASGIApp) -> ASGIApp:
    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "devex.viewer": ADA}, receive, send)

    return served


def activities(orchestrator: Orchestrator, repl_id: str) -> set[Activity]:
    return {span.activity for span in orchestrator.leases.ledger(repl_id)}


def leader(cluster: ClusterApi) -> str:
    lease = cluster.objects.get(("leases", LEASE), {"spec": {}})
    return str(lease["spec"].get("holderIdentity", ""))


async def test_any_server_serves_and_another_one_acts_when_the_first_dies(serve: Serve, cluster: ClusterApi) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serve("first"))
        await until(lambda: leader(cluster) == first.identity)
        async with serve("second") as second:
            a, b = first.orchestrator, second.orchestrator
            repl = await a.create("ada", "a", "python", start=False)
            changes = a.subscribe(repl_id=repl.id)
            await b.rename(repl.id, "by way of the second")
            async with asyncio.timeout(DEADLINE_S):
                while (await anext(changes)).name != "by way of the second":
                    pass

            await b.open(repl.id)
            await until(lambda: a.runner_app(repl.id) and b.runner_app(repl.id))
            async with second.client as client:
                terminal = (await client.post("/terminals", json={})).json()["id"]
            url = f"{second.url.replace('http', 'ws')}/terminals/{terminal}?after=0"
            async with connect(url, proxy=None) as socket:
                tab = Tab(socket)
                await tab.type("echo $((6 * 7))\n")
                await tab.until("42\r\n")
                await until(lambda: all(Activity.KEYSTROKE in activities(one, repl.id) for one in (a, b)))
                await b.extend(repl.id, 1)
                await until(lambda: Activity.EXTENDED in activities(a, repl.id))

                cluster.faults.append(lambda request: cut_off(request, "first"))
                await stack.aclose()
                assert leader(cluster) == first.identity  # it could not say that it goes
                await tab.type("echo $((7 * 8))\n")
                await tab.until("56\r\n")
                async with second.client as client:
                    assert (await client.put("/files/late.txt", content="kept")).status_code == 201
                await until(lambda: leader(cluster) == second.identity)
                await tab.type("echo $((8 * 9))\n")
                await tab.until("72\r\n")

            await until_rests(b, repl.id, b.stop(repl.id))
            assert (await b.get(repl.id)).saved_version
            await b.open(repl.id)
            async with second.client as client:
                assert (await client.get("/files/late.txt")).text == "kept"


async def test_what_a_leader_of_the_past_starts_is_removed_and_spoken_to_by_nobody(
    serve: Serve, cluster: ClusterApi, kubelet: Kubelet
) -> None:
    async with serve("first") as first, serve("second") as second:
        repl = await first.orchestrator.create("ada", "a", "python")
        await second.orchestrator.open(repl.id)
        old, deletes = name_of(repl.id, OLD), len(removed(cluster))
        cluster.faults.append(lambda request: refusal(503, "Down", "down") if request.method == "DELETE" else None)
        key, spec = first.backend.key_of((repl.id, OLD)), make_spec(repl.id, OLD)
        async with Api(client_of(cluster), CLUSTER.namespace) as late:
            made = await late.apply(deployment(spec, CLUSTER))
            for one in dependents(spec, CLUSTER, key, made["metadata"]["uid"], "slug"):
                await late.apply(one)
            await late.scale(DEPLOYMENTS, old, 1)
        await until(lambda: len(removed(cluster)) >= deletes + 2)
        await until(lambda: any("podIP" in pod["status"] for pod in pods(cluster, OLD)))
        (pod,) = pods(cluster, OLD)
        forward = Forward(kubelet.dial_of(pod), key, Incarnation(repl.id, OLD, pod["metadata"]["uid"]))
        assert await refused(forward) == (503, "unclaimed")
        forward.close()
        (running,) = pods(cluster, 1)
        for server in (first, second):
            await until(lambda: server.orchestrator.runner_app(repl.id))  # noqa: B023
            async with server.client as client:
                ran = (await client.post("/exec", json={"command": "pwd"})).json()
            assert running["metadata"]["uid"] in str(ran)
        cluster.faults.clear()
        await until(lambda: not pods(cluster, OLD) and ("deployments", old) not in cluster.objects)
        assert (await first.orchestrator.get(repl.id)).phase is Phase.RUNNING
