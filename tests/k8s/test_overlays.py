"""Every overlay is built as an operator builds it, and is one that clusters take and restricted namespaces let run."""

import json
import tomllib
from decimal import Decimal
from pathlib import Path

import kubernetes_validate
import pytest
from kubernetes.utils.quantity import parse_quantity
from typer.testing import CliRunner

from app.cli import cli
from app.settings import PREFIX, Settings
from orchestrator.backends.egress.rules import PUBLIC_IPV4, PUBLIC_IPV6, holes_of
from orchestrator.backends.kubernetes import doctor
from orchestrator.backends.kubernetes.manifests import deployment
from tests.contracts.backend import make_spec
from tests.k8s.built import BY_HAND, OVERLAYS, ROOT, Manifest, of_kind, overlay, pods, settings_in
from tests.orchestrator.kubernetes.conftest import CLUSTER
from tests.orchestrator.kubernetes.restricted import violations
from tests.orchestrator.kubernetes.rights import rights_of, the_role
from tests.orchestrator.kubernetes.test_manifests import VERSIONS

NAME = "app.kubernetes.io/name"
CLUSTER_WIDE = {"Namespace", "PersistentVolume"}
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SECRET_SETTINGS = {"DEVEX_SECRET", "DEVEX_DATABASE_URL", "DEVEX_S3_SECRET_KEY"}


@pytest.mark.parametrize("version", VERSIONS)
def test_clusters_take_them(version: str) -> None:
    for one in {json.dumps(one, sort_keys=True) for name in OVERLAYS for one in overlay(name)}:
        kubernetes_validate.validate(json.loads(one), version, strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_restricted_namespaces_let_it_run(name: str) -> None:
    found = overlay(name)
    for namespace in of_kind(found, "Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in pods(found):
        assert violations(pod["spec"]) == []
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert {"requests", "limits"} <= container["resources"].keys()
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_is_named_is_there(name: str) -> None:
    """Namespaces, and whatever selects pods."""
    found = overlay(name)
    namespaces = {one["metadata"]["name"] for one in of_kind(found, "Namespace")}
    for one in found:
        assert one["kind"] in CLUSTER_WIDE or one["metadata"]["namespace"] in namespaces
    for one in found:
        wanted = _selected(one)
        if wanted:
            assert any(
                pod["namespace"] == one["metadata"]["namespace"] and wanted.items() <= pod["metadata"]["labels"].items()
                for pod in pods(found)
            ), one
    accounts = {(one["metadata"]["namespace"], one["metadata"]["name"]) for one in of_kind(found, "ServiceAccount")}
    for binding in of_kind(found, "RoleBinding"):
        assert {(one["namespace"], one["name"]) for one in binding["subjects"]} <= accounts


def _selected(one: Manifest) -> dict[str, str]:
    spec = one.get("spec", {})
    found: dict[str, str] = (
        spec.get("selector", {})
        if one["kind"] == "Service"
        else spec.get("podSelector", spec.get("selector", {})).get("matchLabels", {})
    )
    return found


WITH_ALLOWLIST = "production-allowlist"
SERVED = [name for name in OVERLAYS if name != "outside"]


@pytest.mark.parametrize("name", SERVED)
def test_its_settings_are_settings(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = settings_in(overlay(name))
    known = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    assert told.keys() <= known - SECRET_SETTINGS
    for variable, value in (told | BY_HAND).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)  # where there is no .env
    settings = Settings()
    if settings.k8s_image.startswith("localhost/"):  # of this version, as k8s/images.sh builds them
        assert {settings.k8s_image, settings.k8s_proxy_image} == {
            f"localhost/devex-{one}:{VERSION}" for one in ("all", "proxy")
        }
        assert _control_plane(name)["spec"]["containers"][0]["image"] == f"localhost/devex-server:{VERSION}"
    mounted = {mount["mountPath"] for mount in _control_plane(name)["spec"]["containers"][0]["volumeMounts"]}
    assert str(settings.data_dir) in mounted


def _control_plane(name: str) -> Manifest:
    (pod,) = (one for one in pods(overlay(name)) if one["spec"].get("serviceAccountName") == "devex")
    return pod


@pytest.mark.parametrize("name", OVERLAYS)
def test_there_is_room_for_as_many_pods_as_it_says(name: str) -> None:
    (room,) = of_kind(overlay(name), "ResourceQuota")
    hard = {what: _quantity(value) for what, value in room["spec"]["hard"].items()}
    pod = deployment(make_spec(), CLUSTER)["spec"]["template"]["spec"]
    for what, most in hard.items():
        kind, _, resource = what.partition(".")
        if kind in ("requests", "limits") and resource != "storage":
            assert most >= hard["pods"] * _counted(pod, kind, resource), what


def _counted(pod: Manifest, kind: str, resource: str) -> Decimal:
    """As the scheduler and quotas do: a container that says only its limit requests that much."""
    all_of_it = [one["resources"] for one in (*pod["initContainers"], *pod["containers"])]
    return sum((_quantity(one[kind].get(resource, one["limits"][resource])) for one in all_of_it), Decimal(0))


def _quantity(text: str) -> Decimal:
    found: Decimal = parse_quantity(text)  # type: ignore[no-untyped-call]
    return found


def test_no_folder_holds_a_secret() -> None:
    for name in OVERLAYS:
        assert of_kind(overlay(name), "Secret") == []


def test_the_way_out_of_an_allowlist_leads_to_nothing_private() -> None:
    (policy,) = (
        one for one in of_kind(overlay(WITH_ALLOWLIST), "NetworkPolicy") if one["metadata"]["name"] == "devex-egress"
    )
    blocks = [to["ipBlock"] for rule in policy["spec"]["egress"] for to in rule["to"] if "ipBlock" in to]
    for block, public in zip(blocks, (PUBLIC_IPV4, PUBLIC_IPV6), strict=True):
        assert block == {"cidr": str(public), "except": list(map(str, holes_of(public)))}


def test_the_way_out_of_an_allowlist_is_our_command() -> None:
    (pod,) = (one for one in pods(overlay(WITH_ALLOWLIST)) if one["metadata"]["labels"][NAME] == "devex-egress")
    (container,) = pod["spec"]["containers"]
    program, *rest = container["command"]
    assert program == "devex"
    assert ">/usr/local/bin/devex " in (ROOT / "k8s" / "images" / "server.Containerfile").read_text()
    given = CliRunner().invoke(cli, [*rest, "--help"])
    assert given.exit_code == 0, given.output
    assert rest == ["egress-proxy", "--host", "0.0.0.0"]
    assert container["ports"][0]["containerPort"] == 3128  # its default


def test_a_control_plane_outside_is_given_no_pod() -> None:
    found = overlay("outside")
    assert pods(found) == []
    roles = {one["metadata"]["name"]: rights_of(one) for one in of_kind(found, "Role")}
    assert roles == {"devex": rights_of(the_role()), "devex-through-api": set(doctor.THROUGH_API)}


def test_repls_are_led_to_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = overlay(WITH_ALLOWLIST)
    network = json.loads(settings_in(found)["DEVEX_K8S_NETWORK"])
    proxy = network["allowlist_proxy"]
    (service,) = (one for one in of_kind(found, "Service") if one["metadata"]["name"] == "devex-egress")
    assert proxy["url"] == f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"
    assert proxy["namespace"] == service["metadata"]["namespace"]
    assert proxy["labels"] == service["spec"]["selector"]
