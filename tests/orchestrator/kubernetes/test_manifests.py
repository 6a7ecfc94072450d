"""Every manifest is one that clusters of several versions take, and one that a restricted namespace lets run."""

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import kubernetes_validate
import pytest

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.cluster import (
    POD_FIELDS,
    AllowlistProxy,
    Cluster,
    Destination,
    Ingress,
    Network,
    Peer,
    VolumeClaim,
)
from orchestrator.backends.kubernetes.manifests import Manifest, Slot, claim, dependents, deployment, network_policy
from orchestrator.domain import Egress, Size
from runner.previews.hosts import PreviewDomain
from tests.orchestrator.kubernetes.restricted import violations

VERSIONS = ("1.29", "1.31", "1.33", "1.36", "1.37")  # from the first that starts native sidecars by default
KEY = b"k" * 32
SPEC = SandboxSpec(
    repl_id="abc123",
    epoch=7,
    template="python",
    environment={"PORT": "3000", "TOKEN": "of the user's own"},
    run_command="python main.py",
    size=Size(),
    egress=Egress.PUBLIC,
)
SLOT = Slot(id="0a1b2c", template="python", size=Size(), egress=Egress.PUBLIC)
PLAIN = Cluster(namespace="devex-repls", proxy_image="proxy:1", image="runner:1")
INGRESS = Ingress(
    class_name="nginx",
    controller=Peer(namespace="ingress-nginx"),
    tls_secret="wildcards",
    annotations={"nginx.ingress.kubernetes.io/proxy-body-size": "0"},
    preview_ports=(3000, 8000),
    link_url="wss://{name}.links.test",
)
NETWORK = Network(
    store=(Destination(cidr="10.1.2.3/32", port=9000), Destination(cidr="fd00::5/128", port=9000)),
    allowlist_proxy=AllowlistProxy(
        labels={"app": "allowlist"}, namespace="devex", port=3128, url="http://10.96.0.7:3128"
    ),
)
FULL = Cluster(
    namespace="devex-repls",
    proxy_image="proxy:1",
    image="runner:1",
    images={"go": "runner-go:1"},
    pod={
        "imagePullSecrets": [{"name": "registry"}],
        "runtimeClassName": "gvisor",
        "hostUsers": False,
        "nodeSelector": {"pool": "repls"},
        "tolerations": [{"key": "repls", "operator": "Exists", "effect": "NoSchedule"}],
    },
    claim=VolumeClaim(storage_class="fast"),
    network=NETWORK,
    ingress=INGRESS,
    previews=PreviewDomain("https", "preview.test:8443"),
    origin="https://devex.test",
    store_ca="-----BEGIN CERTIFICATE-----",
)


WITH_SLOTS = replace(FULL, claim=None)


def everything(cluster: Cluster, spec: SandboxSpec = SPEC) -> list[Manifest]:
    made = [deployment(spec, cluster), *dependents(spec, cluster, KEY, "owner-uid", "calm-otter")]
    if not cluster.claim:
        slot = replace(SLOT, egress=spec.egress)
        made += [deployment(slot, cluster), *dependents(slot, cluster, KEY, "owner-uid", "")]
    return [*made, claim(spec, cluster)] if cluster.claim else made


def pod_of(cluster: Cluster, **changes: Any) -> Manifest:
    made: Manifest = deployment(replace(SPEC, **changes), cluster)["spec"]["template"]["spec"]
    return made


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cluster", [PLAIN, FULL, WITH_SLOTS], ids=["plain", "full", "slots"])
@pytest.mark.parametrize("egress", Egress)
def test_clusters_take_them(version: str, cluster: Cluster, egress: Egress) -> None:
    for manifest in everything(replace(cluster, network=NETWORK), replace(SPEC, egress=egress)):
        kubernetes_validate.validate(manifest, version, strict=True)


def test_what_no_cluster_takes_is_found() -> None:
    wrong = deployment(SPEC, PLAIN)
    wrong["spec"]["template"]["spec"]["containers"][0]["resuorces"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


@pytest.mark.parametrize("cluster", [PLAIN, FULL], ids=["plain", "full"])
def test_a_restricted_namespace_lets_it_run(cluster: Cluster) -> None:
    assert violations(pod_of(cluster)) == []
    assert violations(deployment(SLOT, replace(cluster, claim=None))["spec"]["template"]["spec"]) == []


def _container(pod: Manifest) -> Manifest:
    context: Manifest = pod["containers"][0]["securityContext"]
    return context


BAD: dict[str, tuple[Callable[[Manifest], Any], str]] = {
    "hostNetwork": (lambda pod: pod.update(hostNetwork=True), "pod: hostNetwork"),
    "hostPID": (lambda pod: pod.update(hostPID=True), "pod: hostPID"),
    "hostIPC": (lambda pod: pod.update(hostIPC=True), "pod: hostIPC"),
    "host path": (
        lambda pod: pod["volumes"].append({"name": "h", "hostPath": {"path": "/"}}),
        "pod: a volume of kind hostPath",
    ),
    "sysctl": (
        lambda pod: pod["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
        "pod: sysctl kernel.msgmax",
    ),
    "pod as root": (lambda pod: pod["securityContext"].update(runAsUser=0), "pod: runAsUser 0"),
    "as root": (lambda pod: _container(pod).update(runAsUser=0), "runner: runAsUser 0"),
    "maybe root": (lambda pod: _container(pod).update(runAsNonRoot=False), "runner: runAsNonRoot"),
    "privileged": (lambda pod: _container(pod).update(privileged=True), "runner: privileged"),
    "escalation": (lambda pod: _container(pod).pop("allowPrivilegeEscalation"), "runner: allowPrivilegeEscalation"),
    "proc": (lambda pod: _container(pod).update(procMount="Unmasked"), "runner: procMount"),
    "kept": (
        lambda pod: _container(pod).update(capabilities={"drop": ["NET_RAW"]}),
        "runner: capabilities not dropped",
    ),
    "added": (
        lambda pod: _container(pod).update(capabilities={"drop": ["ALL"], "add": ["SYS_PTRACE"]}),
        "runner: capabilities added",
    ),
    "seccomp": (lambda pod: _container(pod).update(seccompProfile={"type": "Unconfined"}), "runner: seccompProfile"),
    "no seccomp": (
        lambda pod: (_container(pod).pop("seccompProfile"), pod["securityContext"].pop("seccompProfile")),
        "runner: seccompProfile",
    ),
    "AppArmor": (lambda pod: _container(pod).update(appArmorProfile={"type": "Unconfined"}), "runner: appArmorProfile"),
    "SELinux": (lambda pod: _container(pod).update(seLinuxOptions={"type": "spc_t"}), "runner: seLinuxOptions"),
    "SELinux user": (lambda pod: _container(pod).update(seLinuxOptions={"user": "system_u"}), "runner: seLinuxOptions"),
    "host process": (
        lambda pod: _container(pod).update(windowsOptions={"hostProcess": True}),
        "runner: hostProcess",
    ),
    "host port": (
        lambda pod: pod["containers"][0].update(ports=[{"containerPort": 1, "hostPort": 1}]),
        "runner: hostPort",
    ),
    "probe": (
        lambda pod: pod["initContainers"][0]["livenessProbe"]["httpGet"].update(host="10.0.0.1"),
        "proxy: livenessProbe of another host",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_each_rule_of_the_profile_is_checked(name: str) -> None:
    spoil, expected = BAD[name]
    pod = copy.deepcopy(pod_of(PLAIN))
    spoil(pod)
    assert expected in violations(pod)


def test_one_delete_removes_all_and_nothing_runs_unprotected() -> None:
    assert deployment(SPEC, FULL)["spec"]["replicas"] == 0
    made = dependents(SPEC, FULL, KEY, "owner-uid", "calm-otter")
    assert [one["kind"] for one in made] == ["NetworkPolicy", "Secret", "Service", "Ingress"]
    for one in made:
        (owner,) = one["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["name"], owner["controller"]) == ("owner-uid", "repl-abc123-7", True)
        assert one["metadata"]["labels"] == {
            "app.kubernetes.io/name": "devex-repl", "devex.dev/repl": "abc123", "devex.dev/epoch": "7",
        }  # fmt: skip
    assert "ownerReferences" not in claim(SPEC, FULL)["metadata"]


def test_a_slot_is_protected_from_the_start_and_says_nothing_of_any_repl() -> None:
    made = dependents(SLOT, WITH_SLOTS, KEY, "owner-uid", "")
    policy, secret, service, ingress = made
    assert [one["kind"] for one in made] == ["NetworkPolicy", "Secret", "Service", "Ingress"]
    assert policy["spec"]["egress"] == network_policy(SPEC, WITH_SLOTS)["spec"]["egress"]
    assert secret["data"].keys() == {"key", "store_ca.pem"}
    own = {"app.kubernetes.io/name": "devex-repl", "devex.dev/slot": "0a1b2c"}
    assert policy["spec"]["podSelector"]["matchLabels"] == service["spec"]["selector"] == own
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ["slot-0a1b2c.links.test"]
    pod = deployment(SLOT, WITH_SLOTS)["spec"]["template"]
    assert pod["metadata"]["labels"] == own
    proxy, runner = pod["spec"]["initContainers"][0], pod["spec"]["containers"][0]
    assert [one["name"] for one in proxy["env"]] == ["DEVEX_SLOT", "DEVEX_POD_UID"]
    assert next(one for one in pod["spec"]["volumes"] if one["name"] == "identity")["emptyDir"]["medium"] == "Memory"
    assert "identity" not in {mount["name"] for mount in runner["volumeMounts"]}


def test_programs_get_no_secret_and_no_token() -> None:
    pod = pod_of(FULL)
    proxy, runner = pod["initContainers"][0], pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["shareProcessNamespace"] is False
    assert "env" not in runner
    assert "envFrom" not in runner
    assert {(one["name"], one.get("subPath")) for one in runner["volumeMounts"]} == {
        ("disk", "workspace"), ("sockets", None), ("tmp", None),
    }  # fmt: skip
    assert next(mount for mount in runner["volumeMounts"] if mount["name"] == "sockets")["readOnly"]
    assert next(mount for mount in proxy["volumeMounts"] if mount["name"] == "key")["readOnly"]
    shown = json.dumps(deployment(SPEC, FULL))
    assert "of the user's own" not in shown
    assert "python main.py" not in shown


def test_only_the_secret_knows_what_runs() -> None:
    secret = manifests.secret(SPEC, PLAIN, KEY, "calm-otter")
    assert base64.b64decode(secret["data"]["key"]) == KEY
    told = json.loads(base64.b64decode(secret["data"]["spec.json"]))
    assert told["environment"].items() >= SPEC.environment.items()
    assert (told["environment"]["HOME"], told["run_command"]) == ("/workspace", "python main.py")
    assert told["previews"] is None
    full = manifests.secret(SPEC, FULL, KEY, "calm-otter")
    assert base64.b64decode(full["data"]["store_ca.pem"]) == FULL.store_ca.encode()
    assert json.loads(base64.b64decode(full["data"]["spec.json"]))["previews"] == {
        "slug": "calm-otter", "origin": "https://devex.test", "scheme": "https", "authority": "preview.test:8443",
    }  # fmt: skip


@pytest.mark.parametrize("egress", Egress)
def test_programs_are_told_of_the_way_out_where_there_is_one(egress: Egress) -> None:
    secret = manifests.secret(replace(SPEC, egress=egress), FULL, KEY, "calm-otter")
    told = json.loads(base64.b64decode(secret["data"]["spec.json"]))["environment"]
    assert told.get("https_proxy") == ("http://10.96.0.7:3128" if egress is Egress.ALLOWLIST else None)


def test_sizes_and_wishes_of_the_operator() -> None:
    pod = pod_of(FULL, size=Size(memory_bytes=1 << 29, cpus=0.5, disk_bytes=1 << 30))
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "25m", "memory": "67108864", "ephemeral-storage": "134217728"},
        "limits": {"cpu": "500m", "memory": "536870912", "ephemeral-storage": "2147483648"},
    }
    assert pod["initContainers"][0]["resources"]["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
    assert pod.items() >= FULL.pod.items()
    assert pod["volumes"][0] == {"name": "disk", "persistentVolumeClaim": {"claimName": "repl-abc123"}}
    assert not {"workspace", "cache"} & {one["name"] for one in pod["volumes"]}
    assert [pod_of(FULL, template=one)["containers"][0]["image"] for one in ("go", "c")] == ["runner-go:1", "runner:1"]
    plain = pod_of(PLAIN)
    assert not plain.keys() & POD_FIELDS.keys()
    assert "emptyDir" in plain["volumes"][0]


def test_previews_and_links_lead_to_the_proxy() -> None:
    made = manifests.ingress(SPEC, FULL, INGRESS, "calm-otter")
    assert made["metadata"]["annotations"] == {"nginx.ingress.kubernetes.io/proxy-body-size": "0"}
    spec = made["spec"]
    led = {rule["host"]: rule["http"]["paths"][0] for rule in spec["rules"]}
    assert {host: (one["path"], one["backend"]["service"]["port"]["name"]) for host, one in led.items()} == {
        "3000-calm-otter.preview.test": ("/", "preview"),
        "8000-calm-otter.preview.test": ("/", "preview"),
        "repl-abc123-7.links.test": ("/link", "link"),
    }
    assert {one["backend"]["service"]["name"] for one in led.values()} == {"repl-abc123-7"}
    assert spec["tls"] == [{"hosts": list(led), "secretName": "wildcards"}]
    assert spec["ingressClassName"] == "nginx"
    without = manifests.ingress(SPEC, FULL, replace(INGRESS, link_url="", tls_secret=""), "calm-otter")["spec"]
    assert "tls" not in without
    assert len(without["rules"]) == 2


def _lets_out(policy: Manifest, address: str, port: int) -> bool:
    """What a policy engine would decide about a TCP connection to an address outside of the cluster."""
    where = ip_address(address)
    for rule in policy["spec"]["egress"]:
        ports = rule.get("ports")
        if ports and not any(one["port"] == port and one["protocol"] == "TCP" for one in ports):
            continue
        for to in rule["to"]:
            block = to.get("ipBlock")
            if (
                not block
                or where.version != ip_network(block["cidr"]).version
                or where not in ip_network(block["cidr"])
            ):
                continue
            if not any(where in ip_network(hole) for hole in block.get("except", ())):
                return True
    return False


PRIVATE = (
    "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0",
    "192.0.0.192", "198.18.0.1", "224.0.0.1", "255.255.255.255", "fd00:ec2::254", "fe80::1", "::1", "::", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("egress", Egress)
def test_nothing_private_is_reached(address: str, egress: Egress) -> None:
    policy = network_policy(replace(SPEC, egress=egress), FULL)
    assert not any(_lets_out(policy, address, port) for port in (53, 80, 443, 9000))


def test_what_the_operator_says_is_private_is_not_reached() -> None:
    theirs = tuple(map(ip_network, ("2a00:1450:4001::/48", "8.8.8.0/24", "fd00::/8")))
    policy = network_policy(replace(SPEC, egress=Egress.PUBLIC), replace(FULL, private=theirs))
    assert not any(_lets_out(policy, address, 443) for address in ("2a00:1450:4001::1", "8.8.8.8", "fd00::1"))
    assert all(_lets_out(policy, address, 443) for address in ("2a00:1450:4002::1", "8.8.4.4"))
    blocks = [to["ipBlock"] for to in policy["spec"]["egress"][1]["to"]]
    for block in blocks:  # else an API server refuses it
        assert all(ip_network(hole)[0] in ip_network(block["cidr"]) for hole in block["except"])


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450::1"])
def test_the_public_internet_is_reached_where_it_may_be(address: str) -> None:
    allowed = {
        egress for egress in Egress if _lets_out(network_policy(replace(SPEC, egress=egress), FULL), address, 443)
    }
    assert allowed == {Egress.PUBLIC}


@pytest.mark.parametrize("egress", Egress)
def test_the_store_is_always_reached(egress: Egress) -> None:
    policy = network_policy(replace(SPEC, egress=egress), FULL)
    assert _lets_out(policy, "10.1.2.3", 9000)
    assert _lets_out(policy, "fd00::5", 9000)
    assert not _lets_out(policy, "10.1.2.3", 9001)


def test_only_the_gateway_and_the_ingress_controller_come_in() -> None:
    gateway, controller = network_policy(SPEC, FULL)["spec"]["ingress"]
    assert gateway["from"] == [
        {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "devex"}},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "devex"}},
        }
    ]
    assert gateway["ports"] == [{"protocol": "TCP", "port": manifests.LINK_PORT}]
    assert controller["from"][0]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}
    }
    assert [one["port"] for one in controller["ports"]] == [manifests.PREVIEW_PORT, manifests.LINK_PORT]
    assert len(network_policy(SPEC, PLAIN)["spec"]["ingress"]) == 1
    outside = replace(PLAIN, network=Network(gateway=(Peer(cidr="203.0.113.7/32"),)))
    assert network_policy(SPEC, outside)["spec"]["ingress"][0]["from"] == [{"ipBlock": {"cidr": "203.0.113.7/32"}}]
