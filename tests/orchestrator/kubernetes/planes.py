"""A control plane over an API server and nodes of the tests: all of the orchestrator, and pods without processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.clock import SystemClock
from orchestrator.domain import Limits, Phase, Repl
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.orchestrator.conftest import make_template
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, Object
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.kubelet import Nodes

DEADLINE_S = 20.0
LIMITS = Limits(start_deadline_s=DEADLINE_S, retry_first_s=0.05, retry_most_s=0.3, resync_s=1.0)


@asynccontextmanager
async def controlled(
    cluster: ClusterApi, nodes: Nodes, records: MemoryRecords, bucket: S3Config, limits: Limits = LIMITS
) -> AsyncIterator[Orchestrator]:
    """One run of a control plane; the cluster and the records outlive it."""
    api, versions = Api(client_of(cluster), CLUSTER.namespace), Versions(Workers(), spec_of(bucket))
    orchestrator = Orchestrator(
        backend=KubernetesBackend(api, CLUSTER, versions, dial_of=nodes.dial_of, secret=SECRET),
        records=records,
        templates={"python": make_template()},
        clock=SystemClock(),
        limits=limits,
    )
    async with orchestrator:
        yield orchestrator


async def reaches(orchestrator: Orchestrator, repl_id: str, *phases: Phase) -> Repl:
    async with asyncio.timeout(DEADLINE_S):
        while (repl := await orchestrator.get(repl_id)).phase not in phases:
            await asyncio.sleep(0.01)
    return repl


def deployments(cluster: ClusterApi, repl_id: str = "") -> list[Object]:
    return _of(cluster, "deployments", repl_id)


def pods(cluster: ClusterApi, repl_id: str = "") -> list[Object]:
    return _of(cluster, "pods", repl_id)


def _of(cluster: ClusterApi, plural: str, repl_id: str) -> list[Object]:
    return [
        found
        for (kind, _), found in sorted(cluster.objects.items())
        if kind == plural and repl_id in ("", found["metadata"]["labels"].get("devex.dev/repl"))
    ]
