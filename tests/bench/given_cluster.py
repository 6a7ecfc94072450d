"""On a real cluster, where one is given (see `tests.given`): how long a REPL takes beside a pod that does nothing."""

import asyncio
import time
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, PODS, Api
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.manifests import SLOT
from orchestrator.backends.kubernetes.observe import is_up
from orchestrator.backends.kubernetes.slots import FREE
from tests import given
from tests.bench.figures import Measured
from tests.bench.server import Server
from tests.bench.terminals import client, new_terminal
from tests.contracts.backend import make_spec

STARTS: Final = 5
LOOK_S: Final = 0.02
AVAILABLE_WITHIN_S: Final = 120.0
WARM: Final = {"k8s_warm": '{"python": 1}'}
NAME: Final = "devex-bench"
LABELS: Final = {"app": NAME}  # none of ours: it is nobody's REPL
SLEEP: Final = ["python3", "-c", "import time; time.sleep(1e6)"]


def create_to_prompt(server: Server) -> Measured:
    """API call to the answer of a first command, as a multiple of the time until a Deployment of the same two images
    is available, in turns with it."""
    ours, bare = [], []
    with client(server) as other:
        for number in range(STARTS):
            bare.append(asyncio.run(_available_ms(given.settings())))
            started = time.time()
            repl = server.create(name=f"start {number}")
            ours.append((other.do("prompt", url=new_terminal(server, repl["id"]))["at"] - started) * 1000)
            server.stop_repl(repl["id"])
            server.delete(repl["id"])
    return Measured(median(ours) / median(bare))


def warm_to_prompt(server: Server) -> Measured:
    """The same where a pod of its template waits, in ms: each start takes the one that there is."""
    times = []
    with client(server) as other:
        for number in range(STARTS):
            asyncio.run(_waits(given.settings()))
            started = time.time()
            repl = server.create(name=f"warm {number}")
            times.append((other.do("prompt", url=new_terminal(server, repl["id"]))["at"] - started) * 1000)
            server.stop_repl(repl["id"])
            server.delete(repl["id"])
    return Measured(median(times))


async def _waits(settings: Mapping[str, str]) -> None:
    """Until a pod is up that is nobody's. A slot's pod never says whose it is: its Deployment does."""
    async with Api(settings["kubeconfig"], _namespace(settings)) as api, asyncio.timeout(AVAILABLE_WITHIN_S):
        while True:
            free = {one["metadata"]["labels"][SLOT] for one in (await api.list(DEPLOYMENTS, FREE)).items}
            pods = (await api.list(PODS, SLOT)).items
            if any(one["metadata"]["labels"][SLOT] in free and is_up(one) for one in pods):
                return
            await asyncio.sleep(LOOK_S)


def _namespace(settings: Mapping[str, str]) -> str:
    return settings.get("k8s_namespace", "devex-repls")


async def _available_ms(settings: Mapping[str, str]) -> float:
    namespace = _namespace(settings)
    cluster = Cluster(namespace=namespace, proxy_image=settings["k8s_proxy_image"], image=settings["k8s_image"])
    async with Api(settings["kubeconfig"], namespace) as api, asyncio.timeout(AVAILABLE_WITHIN_S):
        begun = time.perf_counter()
        await api.apply(_two_containers(cluster))
        while not any(one.get("status", {}).get("availableReplicas") for one in await _found(api)):
            await asyncio.sleep(LOOK_S)
        took_ms = (time.perf_counter() - begun) * 1000
        await api.delete(DEPLOYMENTS, NAME)
    return took_ms


async def _found(api: Api) -> list[dict[str, Any]]:
    return (await api.list(DEPLOYMENTS, f"app={NAME}")).items


def _two_containers(cluster: Cluster) -> manifests.Manifest:
    """With the REPLs' walls and resources, and nothing to wait for."""
    made = manifests.deployment(make_spec(), cluster)
    pod = made["spec"]["template"]["spec"]
    kept = ("name", "image", "securityContext", "resources")
    both = [*pod.pop("initContainers"), *pod["containers"]]
    pod |= {"containers": [{**{part: one[part] for part in kept}, "command": SLEEP} for one in both]}
    pod |= {"volumes": [], "terminationGracePeriodSeconds": 0}
    made["metadata"] |= {"name": NAME, "labels": LABELS}
    made["spec"] |= {"replicas": 1, "selector": {"matchLabels": LABELS}}
    made["spec"]["template"]["metadata"]["labels"] = LABELS
    return made
