"""An API server, a kubelet and a store, on loopback."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.versions import Versions
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config, S3Store
from runner.snapshots.worker.workers import Workers
from tests.orchestrator.kubernetes.cluster_api import TOKEN, ClusterApi, served
from tests.orchestrator.kubernetes.kubelet import Kubelet, Nodes
from tests.orchestrator.kubernetes.rights import Rbac
from tests.stores import Server

CLUSTER = Cluster(namespace="devex-repls", proxy_image="proxy:1", image="runner:1")
SECRET = b"of the control plane"


@pytest.fixture(scope="session")
def s3(moto_server: Server) -> Server:
    return moto_server


@pytest.fixture
def bucket(s3: Server) -> S3Config:
    return s3.config()


@pytest.fixture
async def store(bucket: S3Config) -> AsyncIterator[S3Store]:
    async with S3Store(bucket) as store:
        yield store


@pytest.fixture
async def cluster() -> AsyncIterator[ClusterApi]:
    async with served() as cluster:
        yield cluster


@pytest.fixture
async def kubelet(cluster: ClusterApi) -> AsyncIterator[Kubelet]:
    with tempfile.TemporaryDirectory(prefix="pods-") as folder:  # short: sockets have 107 characters for their paths
        async with Kubelet(cluster, Path(folder)) as kubelet:
            yield kubelet


def client_of(cluster: ClusterApi) -> ApiClient:
    return ApiClient(
        Configuration(host=cluster.url, api_key={"BearerToken": TOKEN}, api_key_prefix={"BearerToken": "Bearer"})
    )


@pytest.fixture
def wishes() -> Cluster:
    """What the operator says of the cluster."""
    return CLUSTER


@pytest.fixture
def rbac(cluster: ClusterApi) -> Rbac:
    """The backend has the rights that k8s/ gives it, and no others."""
    rbac = Rbac(cluster)
    cluster.faults.append(rbac)
    return rbac


@pytest.fixture
async def backend(
    cluster: ClusterApi, kubelet: Kubelet, bucket: S3Config, wishes: Cluster, rbac: Rbac
) -> AsyncIterator[KubernetesBackend]:
    api, versions = Api(client_of(cluster), wishes.namespace), Versions(Workers(), spec_of(bucket))
    async with KubernetesBackend(api, wishes, versions, dial_of=kubelet.dial_of, secret=SECRET) as backend:
        yield backend


@pytest.fixture
async def nodes(cluster: ClusterApi) -> AsyncIterator[Nodes]:
    async with Nodes(cluster) as nodes:
        yield nodes
