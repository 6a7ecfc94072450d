"""What `kubectl kustomize` makes of the folders in k8s/: the objects that an operator applies."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBECTL = Path(sys.executable).with_name("kubectl")
OVERLAYS = sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())
BY_HAND = {"DEVEX_SECRET": "s" * 48, "DEVEX_DATABASE_URL": "postgres://devex@db/devex"}  # what an operator's Secret has

Manifest = dict[str, Any]


@cache
def objects(folder: Path) -> list[Manifest]:
    built = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return list(yaml.safe_load_all(built.stdout))


def overlay(name: str) -> list[Manifest]:
    return objects(ROOT / "k8s" / "overlays" / name)


def of_kind(found: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in found if one["kind"] == kind]


def settings_in(found: list[Manifest]) -> dict[str, str]:
    """Of the control plane, but for those that are secret."""
    (told,) = (one["data"] for one in of_kind(found, "ConfigMap") if "DEVEX_HOST" in one["data"])
    return dict(told)


def pods(found: list[Manifest]) -> list[Manifest]:
    """Of whatever makes some: the templates, each with the namespace it is made in."""
    return [
        {**one["spec"]["template"], "namespace": one["metadata"]["namespace"]}
        for one in found
        if "template" in one.get("spec", {})
    ]
