"""What `devex doctor` says about a cluster."""

import asyncio
from typing import Final

from orchestrator.backends.base import Check
from orchestrator.backends.kubernetes.api import Api, ApiError, Right
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.versions import Versions
from runner.errors import DevexError

RIGHTS: Final = (
    *(Right("apps", "deployments", verb) for verb in ("list", "watch", "create", "patch", "delete")),
    Right("apps", "deployments/scale", "patch"),
    *(Right("", resource, verb) for resource in ("pods", "events") for verb in ("list", "watch")),
    *(Right("", "services", verb) for verb in ("list", "watch", "create", "patch")),
    *(Right("", "secrets", verb) for verb in ("create", "patch")),
    *(Right("networking.k8s.io", "networkpolicies", verb) for verb in ("list", "watch", "create", "patch")),
    *(Right("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "patch")),
)
"""What is always needed. docs/security.md says what for."""
WITH_INGRESS: Final = tuple(
    Right("networking.k8s.io", "ingresses", verb) for verb in ("list", "watch", "create", "patch")
)
WITH_CLAIM: Final = tuple(Right("", "persistentvolumeclaims", verb) for verb in ("create", "delete"))
THROUGH_API: Final = (Right("", "pods/proxy", "get"),)
METRICS: Final = Right("metrics.k8s.io", "pods", "list")

UNKNOWN: Final = (
    Check(
        name="network policies",
        ok=None,
        detail="Every REPL has one. The API does not tell whether anything keeps them.",
        action="Use a network plugin that does.",
    ),
    Check(
        name="processes",
        ok=None,
        detail="Bounded by the kubelet's podPidsLimit, which the API does not tell.",
        action="Set it on the nodes.",
    ),
)


async def checks(api: Api, cluster: Cluster, versions: Versions) -> list[Check]:
    """Of what is open."""
    return [*await _of_rights(api, cluster), *UNKNOWN, await _of_store(versions)]


def needed(cluster: Cluster) -> tuple[Right, ...]:
    return (
        *RIGHTS,
        *(WITH_INGRESS if cluster.ingress else ()),
        *(WITH_CLAIM if cluster.claim else ()),
        *(THROUGH_API if cluster.through_api else ()),
    )


async def _of_rights(api: Api, cluster: Cluster) -> list[Check]:
    rights = needed(cluster)
    try:
        *may, measured = await asyncio.gather(*(api.may(right) for right in (*rights, METRICS)))
    except ApiError as error:
        action = "Look at DEVEX_KUBECONFIG, or at the service account of the pod that DEVEX runs in."
        return [Check(name="cluster", ok=False, detail=f"{error}.", action=action)]
    answers = Check(name="cluster", ok=True, detail=f"The API server answers; REPLs run in {cluster.namespace}.")
    missing = [right for right, has in zip(rights, may, strict=True) if not has]
    lacks = ", ".join(f"{right.verb} {right.named}" for right in missing)
    file = "overlays/outside/through-api.yaml" if set(missing) <= set(THROUGH_API) else "base/rights.yaml"
    has_all = Check(name="rights", ok=True, detail="All that is needed.")
    has_not = Check(name="rights", ok=False, detail=f"Missing: {lacks}.", action=f"Apply k8s/{file}.")
    metrics = Check(
        name="CPU time",
        ok=None if not measured else True,
        detail="It is asked of the metrics server." if measured else "Not measured: it keeps no REPL awake.",
        action="" if measured else "Allow the list of pods.metrics.k8s.io.",
    )
    return [answers, has_not if missing else has_all, metrics]


async def _of_store(versions: Versions) -> Check:
    try:
        kept = await versions.probe()
    except DevexError as error:
        return Check(name="store", ok=False, detail=error.message, action=error.action)
    return Check(name="store", ok=kept, detail="Kept by conditions." if kept else "It ignores conditions.")
