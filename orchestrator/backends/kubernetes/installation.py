"""Whose REPLs a namespace has: another installation's are in no list of ours, and would be removed as nobody's.

The Lease says so in an annotation. It stays when no server runs.
"""

from typing import Final

from orchestrator.backends.base import BackendError
from orchestrator.backends.kubernetes.api import LEASES, Api, ApiError
from orchestrator.backends.kubernetes.manifests import Manifest

INSTALLATION: Final = "devex.dev/installation"


class AnotherInstallation(BackendError):
    def __init__(self, namespace: str, lease: str) -> None:
        message = (
            f"The namespace {namespace} has the REPLs of another installation of DEVEX, with a database of its own."
        )
        gone = f"`kubectl --namespace {namespace} delete lease {lease}`"
        action = f"Set another DEVEX_K8S_NAMESPACE; or, if that one is gone and its REPLs may be removed, run {gone}."
        super().__init__(message, retryable=False, action=action)


async def take_namespace(api: Api, lease: str, namespace: str, installation: str) -> None:
    """Have the namespace be this installation's. Raises AnotherInstallation, ApiError."""
    while True:
        found = await api.get(LEASES, lease)
        whose = (found["metadata"].get("annotations") or {}).get(INSTALLATION) if found else None
        if whose == installation:
            return
        if whose:
            raise AnotherInstallation(namespace, lease)
        annotations = {INSTALLATION: installation}
        try:
            if found is None:
                await api.create(_free(lease, annotations))
            else:
                version = found["metadata"]["resourceVersion"]
                await api.patch(LEASES, lease, {"metadata": {"resourceVersion": version, "annotations": annotations}})
        except ApiError as error:
            if error.status != 409:  # somebody was faster: it is looked at again
                raise


def _free(lease: str, annotations: dict[str, str]) -> Manifest:
    """Held by nobody."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": lease, "annotations": annotations},
        "spec": {"leaseTransitions": 0},
    }
