"""What one incarnation of a REPL is in Kubernetes: pure functions from plain data to manifests.

The Deployment is made with no replicas, what depends on it after it, owned by it, and then it is scaled: no pod runs
before its NetworkPolicy, and one delete removes all. Labels carry identity, never what is observed.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.egress.rules import PUBLIC_IPV4, PUBLIC_IPV6, Network, holes_of
from orchestrator.backends.environment import SOCKETS, TMP, WORKSPACE, program_environment
from orchestrator.backends.kubernetes.cluster import Cluster, Destination, Ingress, Peer
from orchestrator.domain import Egress, Size
from runner.forwarding import wire

Manifest = dict[str, Any]

APP: Final = "app.kubernetes.io/name"
APP_NAME: Final = "devex-repl"
OURS: Final = f"{APP}={APP_NAME}"  # as a selector
REPL: Final = "devex.dev/repl"
EPOCH: Final = "devex.dev/epoch"
CLAIMED: Final = "devex.dev/claimed"  # an annotation: the uid of the one pod that acts for the epoch
FAILED: Final = "devex.dev/failed"  # another: why it failed, in plain words; nothing of it is to run any more
DEPENDENTS: Final = "devex.dev/dependents"  # another: as JSON, what is put back when it is removed: see `dependents`
SLOT: Final = "devex.dev/slot"
SLOT_PREFIX: Final = "slot-"  # of its name
ASSUMED: Final = "devex.dev/assumed"  # an annotation of a slot: its pod knows whose it is
FIELD_MANAGER: Final = "devex"
SLUG: Final = "DEVEX_REPL_SLUG"

LINK_PORT: Final = 7601
PREVIEW_PORT: Final = 7602
KEY: Final = "/run/key"
CACHE: Final = "/var/cache/devex"
IDENTITY: Final = "/run/assumed"  # of a slot: in memory, and the proxy's alone

GRACE_S: Final = 120  # a pod's SIGTERM: documents to disk, a last version, programs get 5 s
STARTUP_S: Final = 60  # until the proxy listens; an empty workspace is restored after that
PROXY_REQUESTS: Final = {"cpu": "50m", "memory": "96Mi", "ephemeral-storage": "64Mi"}
PROXY_LIMITS: Final = {"cpu": "1", "memory": "320Mi", "ephemeral-storage": "512Mi"}  # 130 MiB of it a version's worker
# What a node keeps free for the programs of one REPL, as a share of its size: most of them wait, and hold a few files.
CPU_SHARE: Final = 1 / 20
MEMORY_SHARE: Final = 1 / 8
DISK_SHARE: Final = 1 / 8
SOCKETS_SIZE: Final = "1Mi"
IDENTITY_SIZE: Final = "1Mi"
TMP_SIZE: Final = "512Mi"
CACHE_BYTES: Final = 384 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A pod that is started before it is known whose it is. It bears its own name for as long as it lives."""

    id: str
    template: str
    size: Size
    egress: Egress


def slot_name(slot_id: str) -> str:
    return f"{SLOT_PREFIX}{slot_id}"


def name_in(labels: Mapping[str, str]) -> str | None:
    """Of the Deployment that an object with these belongs to; None when it is not ours."""
    if SLOT in labels:
        return slot_name(labels[SLOT])
    key = key_in(labels)
    return name_of(*key) if key else None


def key_in(labels: Mapping[str, str]) -> tuple[str, int] | None:
    """Whose it is: `(repl_id, epoch)`."""
    epoch = str(labels.get(EPOCH, ""))
    return (labels[REPL], int(epoch)) if REPL in labels and epoch.isdecimal() else None


def name_of(repl_id: str, epoch: int) -> str:
    """Of all objects of an incarnation: one that is being removed is not in the way of the next."""
    return f"repl-{repl_id}-{epoch}"


def claim_name(repl_id: str) -> str:
    return f"repl-{repl_id}"


def labels(repl_id: str, epoch: int) -> dict[str, str]:
    return {APP: APP_NAME, REPL: repl_id, EPOCH: str(epoch)}


def deployment(spec: SandboxSpec | Slot, cluster: Cluster) -> Manifest:
    """With no replicas: see `dependents`. It says what is to be there beside it, but for what is secret."""
    slug = spec.environment.get(SLUG, spec.repl_id) if isinstance(spec, SandboxSpec) else ""
    kept = carried(spec, cluster, slug)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_metadata(spec, cluster), "annotations": {DEPENDENTS: kept}},
        "spec": {
            "replicas": 0,
            "revisionHistoryLimit": 0,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": _labels(spec)},
            "template": {
                "metadata": {"labels": _labels(spec)},
                "spec": _pod(spec, cluster, cluster.images.get(spec.template, cluster.image)),
            },
        },
    }


def dependents(spec: SandboxSpec | Slot, cluster: Cluster, key: bytes, owner_uid: str, slug: str) -> list[Manifest]:
    """Everything else of it, owned by its Deployment. A slot has no `slug` yet."""
    policy, *others = _open_dependents(spec, cluster, slug)
    return [owned_by(_name(spec), owner_uid, one) for one in (policy, secret(spec, cluster, key, slug), *others)]


def owned_by(name: str, uid: str, one: Manifest) -> Manifest:
    """By the Deployment of this name."""
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": uid, "controller": True}
    return {**one, "metadata": {**one["metadata"], "ownerReferences": [owner]}}


def _open_dependents(spec: SandboxSpec | Slot, cluster: Cluster, slug: str) -> list[Manifest]:
    """What holds no secret. The policy comes first: nothing is led to a pod before it."""
    made = [network_policy(spec, cluster), service(spec, cluster)]
    if cluster.ingress and (slug or cluster.ingress.link_url):
        made.append(ingress(spec, cluster, cluster.ingress, slug))
    return made


def carried(spec: SandboxSpec | Slot, cluster: Cluster, slug: str) -> str:
    """What its Deployment says of them: see DEPENDENTS."""
    return json.dumps(_open_dependents(spec, cluster, slug), separators=(",", ":"))


def told(spec: SandboxSpec, cluster: Cluster, slug: str) -> Manifest:
    """What only the proxy is to know of what it runs: see `runner.proxy.pod.Pod`."""
    return {
        "environment": _environment(spec, cluster),
        "run_command": spec.run_command,
        "size": asdict(spec.size),
        "autosave_s": cluster.autosave_s,
        "previews": _previews(cluster, slug),
    }


def secret(spec: SandboxSpec | Slot, cluster: Cluster, key: bytes, slug: str) -> Manifest:
    """The key, and what only the proxy is to know: a slot's knows nothing yet."""
    held = {"key": key}
    if isinstance(spec, SandboxSpec):
        held["spec.json"] = json.dumps(told(spec, cluster, slug), sort_keys=True).encode()
    if cluster.store_ca:
        held["store_ca.pem"] = cluster.store_ca.encode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(spec, cluster),
        "type": "Opaque",
        "immutable": True,
        "data": {name: base64.b64encode(content).decode() for name, content in held.items()},
    }


def _previews(cluster: Cluster, slug: str) -> dict[str, str] | None:
    """What the proxy needs for letting visitors in itself; None where no Ingress leads them to it."""
    if not cluster.ingress or not cluster.ingress.preview_ports:
        return None
    return {"slug": slug, "origin": cluster.origin, **asdict(cluster.previews)}


def service(spec: SandboxSpec | Slot, cluster: Cluster) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(spec, cluster),
        "spec": {
            "type": "ClusterIP",
            "selector": _labels(spec),
            "ports": [
                {"name": "link", "port": LINK_PORT, "targetPort": "link", "protocol": "TCP"},
                {"name": "preview", "port": PREVIEW_PORT, "targetPort": "preview", "protocol": "TCP"},
            ],
        },
    }


def ingress(spec: SandboxSpec | Slot, cluster: Cluster, way: Ingress, slug: str) -> Manifest:
    domain = cluster.previews.authority.partition(":")[0]
    previews = [f"{port}-{slug}.{domain}" for port in way.preview_ports] if slug else []
    rules = [_rule(spec, host, "preview", "/", "Prefix") for host in previews]
    if way.link_url:
        link = urlsplit(way.link_url.format(name=_name(spec))).hostname or ""
        rules.append(_rule(spec, link, "link", wire.PATH, "Exact"))
    tls = [{"hosts": [rule["host"] for rule in rules], "secretName": way.tls_secret}] if way.tls_secret else []
    annotated = {"annotations": dict(way.annotations)} if way.annotations else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {**_metadata(spec, cluster), **annotated},
        "spec": {"ingressClassName": way.class_name, "rules": rules, **({"tls": tls} if tls else {})},
    }


def network_policy(spec: SandboxSpec | Slot, cluster: Cluster) -> Manifest:
    """Of the whole pod: whatever the proxy may reach its programs may reach, so it is given nothing but the store."""
    into = [{"from": [_selector(peer) for peer in cluster.network.gateway], "ports": [_tcp(LINK_PORT)]}]
    if cluster.ingress:
        ports = [PREVIEW_PORT, LINK_PORT] if cluster.ingress.link_url else [PREVIEW_PORT]
        into.append({"from": [_selector(cluster.ingress.controller)], "ports": [_tcp(port) for port in ports]})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(spec, cluster),
        "spec": {
            "podSelector": {"matchLabels": _labels(spec)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": into,
            "egress": [*_way_out(spec.egress, cluster), *map(_to, cluster.network.store)],
        },
    }


def claim(spec: SandboxSpec, cluster: Cluster) -> Manifest:
    """A workspace that outlives its pods, and the cache that says whether it is whole; so it is nobody's dependent, and
    carries no epoch."""
    assert cluster.claim is not None
    storage_class = {"storageClassName": cluster.claim.storage_class} if cluster.claim.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(spec.repl_id),
            "namespace": cluster.namespace,
            "labels": {APP: APP_NAME, REPL: spec.repl_id},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": str(spec.size.disk_bytes + CACHE_BYTES)}},
            **storage_class,
        },
    }


def _environment(spec: SandboxSpec, cluster: Cluster) -> dict[str, str]:
    by_proxy = cluster.network.allowlist_proxy if spec.egress is Egress.ALLOWLIST else None
    return program_environment(spec, way_out=by_proxy.url if by_proxy else None)


def _pod(spec: SandboxSpec | Slot, cluster: Cluster, image: str) -> Manifest:
    return {
        "automountServiceAccountToken": False,
        "serviceAccountName": cluster.service_account,
        "enableServiceLinks": False,  # else every service's address is in the programs' environment
        "shareProcessNamespace": False,  # else the programs read the proxy's memory
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": GRACE_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": cluster.uid,
            "runAsGroup": cluster.uid,
            "fsGroup": cluster.uid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_proxy(spec, cluster)],
        "containers": [_runner(spec, cluster, image)],
        "volumes": _volumes(spec, cluster),
        **cluster.pod,
    }


def _proxy(spec: SandboxSpec | Slot, cluster: Cluster) -> Manifest:
    """A native sidecar: up before the programs, down after them."""
    health = {"httpGet": {"path": "/health", "port": "link"}, "timeoutSeconds": 5}
    return {
        "name": "proxy",
        "image": cluster.proxy_image,
        "restartPolicy": "Always",
        "command": ["python3", "-m", "runner.proxy"],
        "env": [
            *[{"name": name, "value": value} for name, value in _identity(spec).items()],
            {"name": "DEVEX_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        "ports": [
            {"name": "link", "containerPort": LINK_PORT, "protocol": "TCP"},
            {"name": "preview", "containerPort": PREVIEW_PORT, "protocol": "TCP"},
        ],
        "startupProbe": {**health, "periodSeconds": 1, "failureThreshold": STARTUP_S},
        "livenessProbe": {**health, "periodSeconds": 20, "failureThreshold": 3},
        "securityContext": _LOCKED,
        "resources": {"requests": PROXY_REQUESTS, "limits": PROXY_LIMITS},
        "volumeMounts": [
            _kept("workspace", WORKSPACE, cluster),
            {"name": "sockets", "mountPath": SOCKETS},
            {"name": "key", "mountPath": KEY, "readOnly": True},
            _kept("cache", CACHE, cluster),
            *([{"name": "identity", "mountPath": IDENTITY}] if isinstance(spec, Slot) else []),
        ],
    }


def _runner(spec: SandboxSpec | Slot, cluster: Cluster, image: str) -> Manifest:
    requests = {
        "cpu": f"{round(spec.size.cpus * CPU_SHARE * 1000)}m",
        "memory": str(round(spec.size.memory_bytes * MEMORY_SHARE)),
        "ephemeral-storage": str(round(spec.size.disk_bytes * DISK_SHARE)),  # unsaid, all of the limit would be kept
    }
    limits = {
        "cpu": f"{round(spec.size.cpus * 1000)}m",
        "memory": str(spec.size.memory_bytes),
        "ephemeral-storage": str(2 * spec.size.disk_bytes),  # as locally: programs are paused at one, ended at two
    }
    return {
        "name": "runner",
        "image": image,
        "command": ["/opt/devex/agent", f"{SOCKETS}/agent.sock"],
        "workingDir": WORKSPACE,
        "securityContext": _LOCKED,
        "resources": {"requests": requests, "limits": limits},
        "volumeMounts": [
            _kept("workspace", WORKSPACE, cluster),
            {"name": "sockets", "mountPath": SOCKETS, "readOnly": True},
            {"name": "tmp", "mountPath": TMP},
        ],
    }


def _kept(name: str, path: str, cluster: Cluster) -> Manifest:
    """A volume of its own, or a folder of the disk that outlives the pod, where both are as old as each other."""
    place = {"name": "disk", "subPath": name} if cluster.claim else {"name": name}
    return {**place, "mountPath": path}


def _volumes(spec: SandboxSpec | Slot, cluster: Cluster) -> list[Manifest]:
    kept: list[Manifest] = (
        [{"name": "disk", "persistentVolumeClaim": {"claimName": claim_name(spec.repl_id)}}]
        if cluster.claim and isinstance(spec, SandboxSpec)
        else [
            {"name": "workspace", "emptyDir": {"sizeLimit": str(2 * spec.size.disk_bytes)}},
            {"name": "cache", "emptyDir": {"sizeLimit": str(CACHE_BYTES)}},
        ]
    )
    if isinstance(spec, Slot):
        kept.append({"name": "identity", "emptyDir": {"medium": "Memory", "sizeLimit": IDENTITY_SIZE}})
    return [
        *kept,
        {"name": "sockets", "emptyDir": {"medium": "Memory", "sizeLimit": SOCKETS_SIZE}},
        {"name": "tmp", "emptyDir": {"sizeLimit": TMP_SIZE}},
        {"name": "key", "secret": {"secretName": _name(spec), "defaultMode": 0o440}},
    ]


def _way_out(egress: Egress, cluster: Cluster) -> list[Manifest]:
    match egress:
        case Egress.NONE:
            return []
        case Egress.ALLOWLIST:
            assert cluster.network.allowlist_proxy is not None
            return [_to(cluster.network.allowlist_proxy)]
        case Egress.PUBLIC:
            names = [_selector(peer) for peer in cluster.network.dns]
            public = [_public(PUBLIC_IPV4, cluster), _public(PUBLIC_IPV6, cluster)]
            return [{"to": names, "ports": [_tcp(53), {"protocol": "UDP", "port": 53}]}, {"to": public}]


def _public(block: Network, cluster: Cluster) -> Manifest:
    return {"ipBlock": {"cidr": str(block), "except": [str(hole) for hole in holes_of(block, cluster.private)]}}


def _to(destination: Destination) -> Manifest:
    return {"to": [_selector(destination)], "ports": [_tcp(destination.port)]}


def _rule(spec: SandboxSpec | Slot, host: str, port: str, path: str, path_type: str) -> Manifest:
    backend = {"service": {"name": _name(spec), "port": {"name": port}}}
    return {"host": host, "http": {"paths": [{"path": path, "pathType": path_type, "backend": backend}]}}


def _selector(peer: Peer) -> Manifest:
    if peer.cidr:
        return {"ipBlock": {"cidr": peer.cidr}}
    here: Manifest = {"podSelector": {"matchLabels": dict(peer.labels)}}
    if peer.namespace:
        here["namespaceSelector"] = {"matchLabels": {"kubernetes.io/metadata.name": peer.namespace}}
    return here


def _tcp(port: int) -> Manifest:
    return {"protocol": "TCP", "port": port}


def _name(spec: SandboxSpec | Slot) -> str:
    return slot_name(spec.id) if isinstance(spec, Slot) else name_of(spec.repl_id, spec.epoch)


def _labels(spec: SandboxSpec | Slot) -> dict[str, str]:
    return {APP: APP_NAME, SLOT: spec.id} if isinstance(spec, Slot) else labels(spec.repl_id, spec.epoch)


def _identity(spec: SandboxSpec | Slot) -> dict[str, str]:
    if isinstance(spec, Slot):
        return {"DEVEX_SLOT": spec.id}
    return {"DEVEX_REPL_ID": spec.repl_id, "DEVEX_EPOCH": str(spec.epoch)}


def _metadata(spec: SandboxSpec | Slot, cluster: Cluster) -> Manifest:
    return {
        "name": _name(spec),
        "namespace": cluster.namespace,
        "labels": _labels(spec),
    }


_LOCKED: Final[Mapping[str, Any]] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
