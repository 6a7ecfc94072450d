"""The scripts of k8s/ run; what they call is noted, for there is no cluster here."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.k8s.built import ROOT, overlay, pods, settings_in
from tests.k8s.stage import Stage

SCRIPTS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "k8s").glob("*.sh"))
SCRIPTS += ["k8s/images/agent", "k8s/images/build"]
FILE = "build/devex-images.tar"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_they_are_clean() -> None:
    subprocess.run([shutil.which("shellcheck") or "shellcheck", *SCRIPTS], cwd=ROOT, check=True)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_cluster_of_kind_is_made_filled_and_served_from(stage: Stage, engine: str) -> None:
    calls, printed = stage.run("k8s/kind.sh up", ENGINE=engine)
    ours = ["kind", engine, "make"]
    done = [" ".join(call[:3]) for call in calls if call[0] in ours]
    assert done == [
        "kind get clusters", "kind create cluster",
        f"{engine} image inspect", f"{engine} image inspect", "make images NAMES=all proxy server",
        f"{engine} save {'--multi-image-archive' if engine == 'podman' else '--output'}", "kind load image-archive",
    ]  # fmt: skip
    assert ["kind", "create", "cluster", "--name", "devex", "--config", "k8s/kind.yaml"] in calls
    assert ["kind", "load", "image-archive", FILE, "--name", "devex"] in calls
    of_the_cluster = [call[3:] for call in calls if call[:3] == ["kubectl", "--context", "kind-devex"]]
    assert of_the_cluster[0] == ["apply", "--filename", "base/namespaces.yaml"]
    assert ["apply", "--kustomize", "overlays/kind"] in of_the_cluster
    assert of_the_cluster[-1][2:5] == ["rollout", "status", "deployment/devex"]
    where, who = printed.splitlines()[-2:]
    assert where == "DEVEX is at http://localhost:8080"
    assert who.endswith(": kubectl --context kind-devex --namespace devex exec deployment/devex -- devex setup-link")


def test_every_image_of_the_overlay_is_in_the_file(stage: Stage) -> None:
    calls, _ = stage.run(f"k8s/images.sh single-node {FILE}")
    saved = next(call for call in calls if call[:2] == ["docker", "save"])
    needed = {container["image"] for pod in pods(overlay("single-node")) for container in pod["spec"]["containers"]}
    told = settings_in(overlay("single-node"))
    needed |= {told["DEVEX_K8S_PROXY_IMAGE"], told["DEVEX_K8S_IMAGE"]}
    assert saved[2:4] == ["--output", FILE]
    assert set(saved[4:]) == needed


def test_minikube_is_started_filled_and_served_from(stage: Stage) -> None:
    calls, _ = stage.run("k8s/minikube.sh up")
    assert [call[1:3] for call in calls if call[0] == "minikube"] == [["start", "--profile"], ["image", "load"]]
    assert ["kubectl", "--context", "devex", "apply", "--kustomize", "overlays/minikube"] in calls


def test_clusters_are_removed(stage: Stage) -> None:
    assert stage.run("k8s/kind.sh down")[0] == [["kind", "delete", "cluster", "--name", "devex"]]
    assert stage.run("k8s/minikube.sh down")[0] == [["minikube", "delete", "--profile", "devex"]]


def test_passwords_are_made_up_each_time(stage: Stage) -> None:
    """And are all that the overlay refers to."""
    made = []
    for _ in range(2):
        calls, _ = stage.run("k8s/install.sh kind")
        assert [
            "kubectl",
            "--namespace",
            "devex",
            "create",
            "secret",
            "generic",
            "devex",
            "--from-env-file=/dev/stdin",
        ] in calls
        made.append(dict(line.split("=", 1) for line in stage.sent.splitlines()))
    assert made[0].keys() == made[1].keys() >= _referred_to()
    assert all(len(made[0][name]) >= 32 for name in ("DEVEX_SECRET", "POSTGRES_PASSWORD", "DEVEX_S3_SECRET_KEY"))
    assert not {made[0]["DEVEX_SECRET"], made[0]["POSTGRES_PASSWORD"]} & set(made[1].values())
    assert made[0]["POSTGRES_PASSWORD"] in made[0]["DEVEX_DATABASE_URL"]


def _referred_to() -> set[str]:
    containers = [container for pod in pods(overlay("kind")) for container in pod["spec"]["containers"]]
    asked = [
        one["valueFrom"]["secretKeyRef"] for each in containers for one in each.get("env", []) if "valueFrom" in one
    ]
    assert {one["name"] for one in asked} == {"devex"}
    return {one["key"] for one in asked}
