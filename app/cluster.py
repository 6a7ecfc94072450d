"""The cluster that the settings name, and the backend that runs REPLs on it."""

from pathlib import Path

from app import data_dir, store
from app.addresses import Addresses
from app.settings import Settings
from orchestrator.backends.base import Check
from orchestrator.backends.kubernetes import doctor, reach
from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster, VolumeClaim
from orchestrator.backends.kubernetes.versions import Versions
from runner.errors import DevexError
from runner.snapshots.worker.workers import Workers


def backend(settings: Settings) -> KubernetesBackend:
    api = Api(settings.kubeconfig, settings.k8s_namespace)
    secret = settings.secret.get_secret_value() or data_dir.secret_of(settings.data_dir)
    return KubernetesBackend(
        api, chosen(settings), _versions(settings), dial_of=_dial_of(settings, api), secret=secret.encode()
    )


async def checks(settings: Settings) -> list[Check]:
    """For the doctor, beside a control plane that runs: nothing is watched, and nothing is done."""
    try:
        async with Api(settings.kubeconfig, settings.k8s_namespace) as api, _versions(settings) as versions:
            return [*_of_secret(settings), *await doctor.checks(api, chosen(settings), versions)]
    except DevexError as error:
        return [Check(name="cluster", ok=False, detail=error.message, action=error.action)]


def _of_secret(settings: Settings) -> list[Check]:
    if settings.secret.get_secret_value():
        return []
    detail = "It lies in the data folder: servers without that folder cannot speak to REPLs that run."
    return [Check(name="secret", ok=None, detail=detail, action="Set DEVEX_SECRET.")]


def chosen(settings: Settings) -> Cluster:
    kind, _, storage_class = settings.k8s_storage.partition(":")
    return Cluster(
        namespace=settings.k8s_namespace,
        proxy_image=settings.k8s_proxy_image,
        image=settings.k8s_image,
        images=settings.k8s_images,
        pod=settings.k8s_pod,
        claim=VolumeClaim(storage_class=storage_class) if kind == "claim" else None,
        network=settings.k8s_network,
        ingress=settings.k8s_ingress,
        previews=Addresses.of(settings).previews,
        origin=settings.origin,
        through_api=settings.k8s_reach == "api",
        store_ca=Path(settings.s3_ca_file).read_text() if settings.s3_ca_file else "",
        autosave_s=settings.autosave_s,
    )


def _versions(settings: Settings) -> Versions:
    return Versions(Workers(), store.chosen(settings))


def _dial_of(settings: Settings, api: Api) -> reach.DialOf:
    if settings.k8s_reach == "api":
        return reach.through(api)
    if settings.k8s_reach == "ingress" and settings.k8s_ingress:
        return reach.by_ingress(settings.k8s_ingress)
    return reach.by_address
