"""Two installations that were given one namespace: whoever comes second is refused, and touches nothing."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from orchestrator.backends.kubernetes import election
from orchestrator.backends.kubernetes.api import Api, ApiError
from orchestrator.backends.kubernetes.backend import LEASE, KubernetesBackend
from orchestrator.backends.kubernetes.election import LeaseElection
from orchestrator.backends.kubernetes.installation import INSTALLATION, AnotherInstallation, take_namespace
from orchestrator.backends.kubernetes.versions import Versions
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.contracts.backend import make_spec, until_running
from tests.orchestrator.kubernetes.cluster_api import ClusterApi
from tests.orchestrator.kubernetes.conftest import CLUSTER, client_of
from tests.orchestrator.kubernetes.kubelet import Nodes
from tests.orchestrator.kubernetes.rights import Rbac
from tests.waiting import until


@pytest.fixture
async def api(cluster: ClusterApi, rbac: Rbac) -> AsyncIterator[Api]:
    async with Api(client_of(cluster), CLUSTER.namespace) as api:
        yield api


def backend_of(cluster: ClusterApi, nodes: Nodes, bucket: S3Config, name: str) -> KubernetesBackend:
    async def installation() -> str:
        return name

    api, versions = Api(client_of(cluster), CLUSTER.namespace), Versions(Workers(), spec_of(bucket))
    return KubernetesBackend(
        api, CLUSTER, versions, dial_of=nodes.dial_of, secret=name.encode(), installation=installation
    )


def whose(cluster: ClusterApi) -> str:
    return str(cluster.objects["leases", LEASE]["metadata"].get("annotations", {}).get(INSTALLATION, ""))


async def test_another_installation_is_refused_and_removes_nothing(cluster: ClusterApi, bucket: S3Config) -> None:
    async with Nodes(cluster) as nodes:
        async with backend_of(cluster, nodes, bucket, "one") as backend:
            await backend.ensure(make_spec())
            await until_running(backend, "repl1")
        there, asked = set(cluster.objects), len(cluster.requests)
        with pytest.raises(AnotherInstallation) as refused:
            await backend_of(cluster, nodes, bucket, "another").__aenter__()
        assert str(refused.value) == (
            "The namespace devex-repls has the REPLs of another installation of DEVEX, with a database of its own."
        )
        assert refused.value.action == (
            "Set another DEVEX_K8S_NAMESPACE; or, if that one is gone and its REPLs may be removed, run "
            "`kubectl --namespace devex-repls delete lease devex-leader`."
        )
        assert set(cluster.objects) == there
        assert {method for method, _ in cluster.requests[asked:]} == {"GET"}
        async with backend_of(cluster, nodes, bucket, "one") as backend:  # while it comes back to its own
            await until_running(backend, "repl1")
        cluster.remove("leases", LEASE)  # as the action says
        async with backend_of(cluster, nodes, bucket, "another"):
            assert whose(cluster) == "another"


async def test_of_two_at_once_one_has_it(cluster: ClusterApi, api: Api, rbac: Rbac) -> None:
    for left in (None, {"metadata": {"name": LEASE}, "spec": {}}):  # nothing, and what a release before left
        cluster.remove("leases", LEASE)
        if left:
            cluster.put("leases", left)
        names = [f"installation {number}" for number in range(6)]
        ended = await asyncio.gather(
            *(take_namespace(api, LEASE, CLUSTER.namespace, name) for name in [*names, *names]), return_exceptions=True
        )
        won = {name for name, error in zip([*names, *names], ended, strict=True) if error is None}
        assert won == {whose(cluster)}
        assert [type(error) for error in ended if error] == [AnotherInstallation] * 10
    assert rbac.refused == []


async def test_who_may_not_ask_does_not_start(cluster: ClusterApi, api: Api) -> None:
    with pytest.raises(ApiError, match="403"):
        async with Api(client_of(cluster), "elsewhere") as other:
            await take_namespace(other, LEASE, "elsewhere", "one")


async def test_who_leads_says_whose_it_is_and_nobody_else_leads(
    cluster: ClusterApi, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(election, "RETRY_S", 0.05)
    leads = asyncio.Event()

    async def work() -> None:
        leads.set()
        await asyncio.Event().wait()

    one, another = LeaseElection(api, LEASE), LeaseElection(api, LEASE)
    one.installation, another.installation = "one", "another"
    first = asyncio.create_task(one.run(work))
    await until(leads.is_set)
    cluster.remove("leases", LEASE)  # by somebody who thought that it was gone
    await until(lambda: ("leases", LEASE) in cluster.objects)
    assert whose(cluster) == "one"
    first.cancel()
    await asyncio.wait([first])
    leads.clear()
    waiting = asyncio.create_task(another.run(work))
    asked = len(cluster.requests)
    await until(lambda: len(cluster.requests) > asked + 3)
    assert not leads.is_set()
    waiting.cancel()
    await asyncio.wait([waiting])
