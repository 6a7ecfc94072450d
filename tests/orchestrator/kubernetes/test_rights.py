"""The control plane's rights are what it needs: nothing is refused, and nothing is allowed that is not asked for."""

import asyncio
import re
from pathlib import Path

import pytest
import yaml

from orchestrator.backends.base import Backend, BackendError
from orchestrator.backends.kubernetes import backend as ours
from orchestrator.backends.kubernetes import doctor, reach
from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster, VolumeClaim
from orchestrator.backends.kubernetes.versions import Versions
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.contracts.backend import DEADLINE_S, make_spec, until_running
from tests.orchestrator.kubernetes.cluster_api import ClusterApi
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.rights import FILE, Rbac, rights_of, the_role
from tests.orchestrator.kubernetes.test_manifests import INGRESS

SECURITY = Path(__file__).resolve().parents[3] / "docs" / "security.md"


@pytest.fixture
def wishes() -> Cluster:
    """As much as there is to make."""
    return Cluster(
        namespace=CLUSTER.namespace,
        proxy_image=CLUSTER.proxy_image,
        image=CLUSTER.image,
        claim=VolumeClaim(),
        ingress=INGRESS,
    )


async def test_all_of_a_repls_life_needs_all_of_the_rights(backend: Backend, rbac: Rbac) -> None:
    await lead_once(backend)
    await backend.seed("repl1", {"main.py": b"print(1)\n"}, copy_of=None)
    await backend.ensure(make_spec())
    await until_running(backend, "repl1")
    await backend.cpu_times()
    await backend.stop("repl1", 1)
    await backend.delete_workspace("repl1")
    assert rbac.refused == []
    assert rbac.used == rights_of(the_role())


async def test_who_may_see_nothing_does_not_start(
    cluster: ClusterApi, rbac: Rbac, bucket: S3Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ours, "FOUND_WITHIN_S", 1.0)
    api, versions = Api(client_of(cluster), "another-namespace"), Versions(Workers(), spec_of(bucket))
    backend = KubernetesBackend(api, CLUSTER, versions, dial_of=reach.by_address(), secret=SECRET)
    with pytest.raises(BackendError, match="The cluster does not show its REPLs: 403 Forbidden: deployments is") as why:
        await backend.__aenter__()
    assert "devex doctor" in why.value.action


async def test_the_doctor_names_what_is_missing(backend: Backend, cluster: ClusterApi, wishes: Cluster) -> None:
    cluster.allows = lambda asked: asked["namespace"] == wishes.namespace
    assert [check.ok for check in await backend.doctor()] == [True, True, True, None, None, True]
    cluster.allows = lambda asked: asked["subresource"] != "scale" and asked["resource"] != "secrets"
    (rights,) = (check for check in await backend.doctor() if check.ok is False)
    assert rights.detail == "Missing: patch deployments.apps/scale, create secrets, patch secrets."


def test_the_doctor_asks_for_each(wishes: Cluster) -> None:
    assert {*doctor.needed(wishes), doctor.METRICS} == rights_of(the_role())


async def lead_once(backend: Backend) -> None:
    """Take the lead, and give it up."""
    leads = asyncio.Event()

    async def work() -> None:
        leads.set()
        await asyncio.Event().wait()

    assert backend.election
    candidate = asyncio.create_task(backend.election.run(work))
    async with asyncio.timeout(DEADLINE_S):
        await leads.wait()
    candidate.cancel()
    await asyncio.wait([candidate])


def test_the_way_through_the_api_server_takes_one_more() -> None:
    file = FILE.parents[1] / "overlays" / "outside" / "through-api.yaml"
    role = next(one for one in yaml.safe_load_all(file.read_text()) if one["kind"] == "Role")
    assert rights_of(role) == set(doctor.THROUGH_API)


def test_each_right_is_explained() -> None:
    page = SECURITY.read_text().partition("## Rights in a cluster")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z, ]+) \| \S.* \|$", page, re.MULTILINE)
    told = {(resource, verb) for resource, verbs in rows for verb in verbs.split(", ")}
    assert told == {(right.named, right.verb) for right in rights_of(the_role())}


def test_nothing_is_allowed_that_reads_secrets_or_runs_programs() -> None:
    for right in rights_of(the_role()):
        assert right.resource not in {"pods/exec", "pods/attach", "pods/portforward", "pods/ephemeralcontainers"}
        assert (right.resource, right.verb) not in {("secrets", "get"), ("secrets", "list"), ("secrets", "watch")}
        assert "*" not in right
