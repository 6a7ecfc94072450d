"""What an operator says of the cluster: plain data, from settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Pods by labels, in a namespace by name ("": in the REPLs' own)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A range in CIDR notation and a TCP port, as a NetworkPolicy knows them: names it does not."""

    cidr: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewHosts:
    """Where an ingress controller leads previews to the pods. `host` holds `{port}` and `{slug}`."""

    host: str
    ports: tuple[int, ...]
    ingress_class: str
    tls_secret: str = ""
    controller: Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClaim:
    """A workspace on a disk of its own, which outlives the pod. `storage_class` "": the cluster's default."""

    storage_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`images` names the runner's image by template, `image` the one for all others. Empty values are left out of
    the manifests."""

    namespace: str
    proxy_image: str
    image: str
    images: Mapping[str, str] = field(default_factory=dict)
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str = "devex-repl"  # bound to nothing
    uid: int = 10001  # of both containers, so that modes and owners of files come back as they were
    runtime_class: str = ""
    host_users: bool | None = None  # False: a user namespace for each pod, where the nodes can
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    claim: VolumeClaim | None = None
    gateway: Peer = field(default_factory=lambda: Peer(labels={"app.kubernetes.io/name": "devex"}))
    dns: Peer = field(
        default_factory=lambda: Peer(labels={"k8s-app": "kube-dns"}, namespace="kube-system")  # CoreDNS's label too
    )
    allowlist_proxy: Peer | None = None
    allowlist_port: int = 3128
    store: tuple[Address, ...] = ()
    store_ca_file: str = ""  # in the proxy's image
    previews: PreviewHosts | None = None
