"""The cluster that the settings name, and the backend that runs REPLs on it."""

from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from app import data_dir, store
from app.addresses import Addresses
from app.egress import rules_of
from app.settings import Settings
from app.storage.records import installation
from orchestrator.backends.base import Check
from orchestrator.backends.egress.rules import is_public
from orchestrator.backends.kubernetes import doctor, reach
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, PODS, Api, ApiError
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster, VolumeClaim, Warm
from orchestrator.backends.kubernetes.manifests import OURS, key_in
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.domain import Egress
from runner.errors import DevexError
from runner.snapshots.worker.workers import Workers


def backend(settings: Settings) -> KubernetesBackend:
    api = Api(settings.kubeconfig, settings.k8s_namespace)
    secret = settings.secret.get_secret_value() or data_dir.secret_of(settings.data_dir)
    return KubernetesBackend(
        api,
        chosen(settings),
        _versions(settings),
        dial_of=_dial_of(settings, api),
        secret=secret.encode(),
        installation=installation,
    )


async def checks(settings: Settings) -> list[Check]:
    """For the doctor, beside a control plane that runs: nothing is watched, and nothing is done."""
    try:
        async with Api(settings.kubeconfig, settings.k8s_namespace) as api, _versions(settings) as versions:
            found = await doctor.checks(api, chosen(settings), versions)
            return [*found, *_of_secret(settings), *way_to_store(settings)]
    except DevexError as error:
        return [Check(name="cluster", ok=False, detail=error.message, action=error.action)]


async def epochs(settings: Settings) -> dict[str, int]:
    """By REPL, of the newest pod that there is. Raises DevexError."""
    newest: dict[str, int] = {}
    async with Api(settings.kubeconfig, settings.k8s_namespace) as api:
        try:
            listings = [await api.list(kind, OURS) for kind in (DEPLOYMENTS, PODS)]
        except ApiError as error:
            message = f"The cluster does not show which REPLs run: {error}."
            raise DevexError("cluster", message, "`devex doctor` says what is missing.", status=503) from error
    for found in chain.from_iterable(listing.items for listing in listings):
        if (key := key_in(found["metadata"].get("labels", {}))) is not None:
            newest[key[0]] = max(key[1], newest.get(key[0], 0))
    return newest


def _of_secret(settings: Settings) -> list[Check]:
    if settings.secret.get_secret_value():
        return []
    detail = "It lies in the data folder: servers without that folder cannot speak to REPLs that run."
    return [Check(name="secret", ok=None, detail=detail, action="Set DEVEX_SECRET.")]


def way_to_store(settings: Settings) -> list[Check]:
    """What keeps pods from it where a network plugin keeps their NetworkPolicies."""
    host = urlsplit(settings.s3_endpoint).hostname or "s3.amazonaws.com"
    is_outside = settings.egress is Egress.PUBLIC and not _is_private(host, settings)
    if not (is_outside or settings.k8s_network.store):
        detail, action = f"Policies do not let pods reach {host}.", "Say in DEVEX_K8S_NETWORK where the store is."
    elif settings.egress is not Egress.PUBLIC and not _is_address(host):
        detail = f"With DEVEX_EGRESS={settings.egress} policies do not let pods look up {host}."
        action = "Let DEVEX_S3_ENDPOINT be an address."
    else:
        return []
    return [Check(name="way to the store", ok=None, detail=detail, action=action)]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_private(host: str, settings: Settings) -> bool:
    """As far as it can be seen."""
    if _is_address(host):
        return not is_public(ip_address(host), rules_of(settings).private)
    return "." not in host or host.endswith((".svc", ".local"))


def chosen(settings: Settings) -> Cluster:
    kind, _, storage_class = settings.k8s_storage.partition(":")
    limits = settings.limits
    return Cluster(
        namespace=settings.k8s_namespace,
        proxy_image=settings.k8s_proxy_image,
        image=settings.k8s_image,
        images=settings.k8s_images,
        pod=settings.k8s_pod,
        warm=Warm(slots=settings.k8s_warm, size=limits.size, sizes=limits.sizes, egress=limits.egress),
        claim=VolumeClaim(storage_class=storage_class) if kind == "claim" else None,
        network=settings.k8s_network,
        private=rules_of(settings).private,
        ingress=settings.k8s_ingress,
        previews=Addresses.of(settings).previews,
        origin=settings.origin,
        through_api=settings.k8s_reach == "api",
        store_ca=Path(settings.s3_ca_file).read_text() if settings.s3_ca_file else "",
        autosave_s=settings.autosave_s,
    )


def _versions(settings: Settings) -> Versions:
    limits = settings.limits
    largest = max((limits.size, *limits.sizes.values()), key=lambda size: size.disk_bytes)
    return Versions(Workers(), store.chosen(settings), largest)


def _dial_of(settings: Settings, api: Api) -> reach.DialOf:
    if settings.k8s_reach == "api":
        return reach.through(api)
    if settings.k8s_reach == "ingress" and settings.k8s_ingress:
        return reach.by_ingress(settings.k8s_ingress)
    return reach.by_address()
