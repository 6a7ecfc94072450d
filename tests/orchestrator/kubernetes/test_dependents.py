"""What belongs to a pod that runs is put back when somebody removes or changes it, and only then."""

import asyncio
import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.backends.kubernetes import dependents, manifests
from orchestrator.backends.kubernetes.api import KINDS, Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.dependents import mark
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.domain import Egress
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.contracts.backend import make_spec, until_running
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, Object, refusal
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.kubelet import Nodes
from tests.orchestrator.kubernetes.rights import Rbac
from tests.orchestrator.kubernetes.test_manifests import INGRESS
from tests.waiting import until

WISHES = replace(CLUSTER, ingress=INGRESS)
NAME = "repl-repl1-1"
KEPT = ("networkpolicies", "services", "ingresses")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependents, "SETTLE_S", 0.05)
    monkeypatch.setattr(dependents, "AGAIN_S", 0.05)


def backend_of(cluster: ClusterApi, nodes: Nodes, bucket: S3Config, wishes: Cluster = WISHES) -> KubernetesBackend:
    api, versions = Api(client_of(cluster), wishes.namespace), Versions(Workers(), spec_of(bucket))
    return KubernetesBackend(api, wishes, versions, dial_of=nodes.dial_of, secret=SECRET)


def shown(cluster: ClusterApi, name: str = NAME) -> dict[str, Any]:
    return {
        plural: {part: cluster.objects[plural, name].get(part) for part in ("kind", "spec")}
        | {"of": cluster.objects[plural, name]["metadata"]["ownerReferences"]}
        for plural in KEPT
        if (plural, name) in cluster.objects
    }


def writes(cluster: ClusterApi) -> int:
    return sum(method != "GET" for method, _ in cluster.requests)


def opened(found: Object) -> Object:
    """As somebody's kubectl would leave it, with another way in or out."""
    changed: Object = copy.deepcopy({**found, "metadata": {**found["metadata"]}})
    match found["kind"]:
        case "NetworkPolicy":
            changed["spec"]["egress"].append({})
        case "Service":
            changed["spec"]["type"] = "NodePort"
        case "Ingress":
            changed["spec"]["rules"].append({"host": "elsewhere.example.com"})
    return changed


async def test_what_is_removed_or_changed_while_a_pod_runs_is_put_back(
    cluster: ClusterApi, bucket: S3Config, rbac: Rbac
) -> None:
    async with Nodes(cluster) as nodes, backend_of(cluster, nodes, bucket) as backend:
        await backend.ensure(make_spec())
        await until_running(backend, "repl1")
        wanted = shown(cluster)
        assert wanted.keys() == set(KEPT)
        for plural in KEPT:
            cluster.remove(plural, NAME)
            await until(lambda: shown(cluster) == wanted)
            cluster.put(plural, opened(cluster.objects[plural, NAME]))
            await until(lambda: shown(cluster) == wanted)
        labels = cluster.objects["services", NAME]["metadata"]["labels"]
        cluster.put("services", {**cluster.objects["services", NAME], "metadata": {"name": NAME, "labels": {}}})
        await until(lambda: cluster.objects["services", NAME]["metadata"]["labels"] == labels)
        assert rbac.refused == []
        await backend.stop("repl1", 1)
        await until(lambda: not [name for _, name in cluster.objects if name == NAME])


async def test_another_server_puts_back_what_was_there_when_it_started(cluster: ClusterApi, bucket: S3Config) -> None:
    """Nobody tells a server what was removed while none was there."""
    async with Nodes(cluster) as nodes:
        async with backend_of(cluster, nodes, bucket) as backend:
            await backend.ensure(replace(make_spec(), egress=Egress.PUBLIC))
            await until_running(backend, "repl1")
        wanted = shown(cluster)
        cluster.remove("networkpolicies", NAME)
        cluster.remove("services", NAME)
        elsewhere = replace(WISHES, previews=replace(WISHES.previews, authority="other.example.com"))
        async with backend_of(cluster, nodes, bucket, elsewhere):  # and its own settings change nothing of what runs
            await until(lambda: shown(cluster) == wanted)


async def test_nothing_is_done_about_what_is_as_it_should_be_or_does_not_run(
    cluster: ClusterApi, bucket: S3Config
) -> None:
    async with Nodes(cluster) as nodes, backend_of(cluster, nodes, bucket) as backend:
        for name in ("repl1", "repl2"):
            await backend.ensure(make_spec(name))
            await until_running(backend, name)
        failed = cluster.objects["deployments", "repl-repl2-1"]
        buried = {**failed["metadata"], "annotations": {**failed["metadata"]["annotations"], manifests.FAILED: "No."}}
        cluster.put("deployments", {**failed, "metadata": buried, "spec": {**failed["spec"], "replicas": 0}})
        cluster.remove("networkpolicies", "repl-repl2-1")
        of_server = cluster.objects["services", NAME]
        cluster.put("services", {**of_server, "spec": {**of_server["spec"], "clusterIP": "10.0.0.1"}})
        asked = writes(cluster)
        cluster.remove("networkpolicies", NAME)
        await until(lambda: ("networkpolicies", NAME) in cluster.objects)
        cluster.remove("services", NAME)  # what is put back later is put back after all else was looked at
        await until(lambda: ("services", NAME) in cluster.objects)
        assert writes(cluster) == asked + 2
        assert ("networkpolicies", "repl-repl2-1") not in cluster.objects


async def test_whoever_refuses_it_is_asked_again(cluster: ClusterApi, bucket: S3Config) -> None:
    async with Nodes(cluster) as nodes, backend_of(cluster, nodes, bucket) as backend:
        await backend.ensure(make_spec())
        await until_running(backend, "repl1")
        refused = asyncio.Event()

        def refuse(request: Any) -> Any:
            if request.method != "PATCH" or "networkpolicies" not in request.url.path:
                return None
            refused.set()
            return refusal(403, "Forbidden", "a webhook says no")

        cluster.faults.append(refuse)
        cluster.remove("networkpolicies", NAME)
        async with asyncio.timeout(20):
            await refused.wait()
        cluster.faults.clear()
        await until(lambda: ("networkpolicies", NAME) in cluster.objects)


MADE = [
    manifests.owned_by(NAME, "uid", one)
    for egress in Egress
    for one in json.loads(
        manifests.deployment(
            replace(make_spec(), egress=egress if egress is not Egress.ALLOWLIST else Egress.NONE), WISHES
        )["metadata"]["annotations"][manifests.DEPENDENTS]
    )
]


@pytest.mark.parametrize("made", MADE, ids=lambda made: made["kind"])
def test_a_servers_own_way_of_showing_it_is_no_change(made: Object) -> None:
    shown = copy.deepcopy(made)
    shown["metadata"] |= {"uid": "x", "resourceVersion": "7", "managedFields": []}
    shown["metadata"]["labels"]["example.com/seen"] = "yes"
    if not shown["spec"].get("egress", True):
        del shown["spec"]["egress"]  # as Go leaves out what is empty
    if made["kind"] == "Service":
        shown["spec"] |= {"clusterIP": "10.0.0.1", "sessionAffinity": "None"}
    kind = KINDS[made["kind"]]
    assert mark(kind, shown) == mark(kind, made)
    if made["kind"] == "NetworkPolicy":
        for part in ("namespaceSelector", "podSelector"):
            wider = copy.deepcopy(made)
            wider["spec"]["ingress"][0]["from"].append({part: {}})
            assert mark(kind, wider) != mark(kind, made)
