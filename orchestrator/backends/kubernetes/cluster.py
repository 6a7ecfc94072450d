"""What an operator says of the cluster: plain data, from settings.

Settings are parsed into these. A name that is none of theirs is refused: misspelt, it would open what it was to close.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from orchestrator.domain import Egress, Size
from runner.previews.hosts import PreviewDomain

_STRICT: Final = {"extra": "forbid"}  # pydantic's word for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Pods by labels, in a namespace by name ("": in the REPLs' own); or addresses, by `cidr`."""

    __pydantic_config__ = _STRICT

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    cidr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination(Peer):
    """What is connected to, on a TCP port of its pods: NetworkPolicies know neither names nor services."""

    __pydantic_config__ = _STRICT

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowlistProxy(Destination):
    """An HTTP proxy that lets out what it lets out. `url` names an address: programs behind it look up no names."""

    __pydantic_config__ = _STRICT

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Who comes in to a pod and what it reaches, besides what its egress says. `gateway`: whoever opens links."""

    __pydantic_config__ = _STRICT

    gateway: tuple[Peer, ...] = (Peer(labels={"app.kubernetes.io/name": "devex"}, namespace="devex"),)
    dns: tuple[Peer, ...] = (Peer(labels={"k8s-app": "kube-dns"}, namespace="kube-system"),)  # CoreDNS's label too
    store: tuple[Destination, ...] = ()
    allowlist_proxy: AllowlistProxy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """What an ingress controller leads to the pods: previews of these ports, and links where `link_url` is set.

    An Ingress names whole hosts. Previews of other ports, and of what does not run, are the gateway's, to which a
    wildcard of the control plane's Ingress leads.
    `link_url` holds `{name}`, which becomes that of the incarnation: `wss://{name}.links.example.com`. `ca_file` has
    the certificates to trust there. `annotations` say in the controller's own words what an Ingress cannot: bodies of
    any size, passed on as they come, and sockets that are silent for an hour.
    """

    __pydantic_config__ = _STRICT

    class_name: str
    controller: Peer
    tls_secret: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    preview_ports: tuple[int, ...] = (3000, 5000, 5173, 8000, 8080)  # templates', and what frameworks listen on
    link_url: str = ""
    ca_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClaim:
    """A workspace on a disk of its own, which outlives the pod. `storage_class` "": the cluster's default."""

    storage_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warm:
    """Pods that are started before anybody wants them: how many of each template, and as what."""

    slots: Mapping[str, int] = field(default_factory=dict)
    size: Size = field(default_factory=Size)
    sizes: Mapping[str, Size] = field(default_factory=dict)  # of templates that need another one
    egress: Egress = Egress.NONE


POD_FIELDS: Final[Mapping[str, type]] = {
    "runtimeClassName": str,
    "hostUsers": bool,  # false: a user namespace for each pod, where the nodes can
    "nodeSelector": dict,
    "affinity": dict,
    "tolerations": list,
    "imagePullSecrets": list,
    "priorityClassName": str,
}
"""What an operator may say of a pod in Kubernetes's own words: nothing by which it would be less locked up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """`images` names the runner's image by template, `image` the one for all others."""

    namespace: str
    proxy_image: str
    image: str
    images: Mapping[str, str] = field(default_factory=dict)
    service_account: str = "devex-repl"  # bound to nothing
    uid: int = 10001  # of both containers, so that modes and owners of files come back as they were
    pod: Mapping[str, Any] = field(default_factory=dict)  # of POD_FIELDS
    claim: VolumeClaim | None = None  # no slots are made with it: a claim is a REPL's own
    warm: Warm = field(default_factory=Warm)
    network: Network = field(default_factory=Network)
    private: tuple[IPv4Network | IPv6Network, ...] = ()  # what is no public address, besides what nowhere is one
    ingress: Ingress | None = None
    previews: PreviewDomain = field(default_factory=lambda: PreviewDomain("http", "localhost"))
    origin: str = ""  # the application's, where tickets for previews come from
    through_api: bool = False  # pods are reached by the API server's proxy sub-resource
    store_ca: str = ""  # PEM
    autosave_s: float = 30.0
