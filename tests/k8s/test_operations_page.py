"""docs/operations.md can be followed: every command in it is one, every setting is one, every overlay is built."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from kubernetes.utils.quantity import parse_quantity
from typer.testing import CliRunner

from app.cli import cli
from app.settings import PREFIX, Settings
from orchestrator.backends.kubernetes.manifests import PROXY_LIMITS, PROXY_REQUESTS, deployment
from tests.contracts.backend import make_spec
from tests.k8s.built import BY_HAND, KUBECTL, ROOT, objects, of_kind, overlay, pods, settings_in
from tests.k8s.stage import Call, Stage
from tests.orchestrator.kubernetes.conftest import CLUSTER

PAGE = (ROOT / "docs" / "operations.md").read_text()
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
OURS = ("make ", "devex ", "kubectl ", "k8s/", "ENGINE=")
TARGETS = re.compile(r"^([a-z-]+):", re.MULTILINE)


def blocks(language: str) -> list[str]:
    return [text for kind, text in FENCED.findall(PAGE) if kind == language]


def commands() -> list[str]:
    """Blocks, and those of ours that stand in the text."""
    text = FENCED.sub("", PAGE)
    return blocks("sh") + [one for one in INLINE.findall(text) if one.startswith(OURS) and " " in one]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """With the overlay that a reader has made by then."""
    stage = Stage(tmp_path_factory.mktemp("stage"))
    _make_mine(stage.folder)
    for name in ("secret.env", "devex-images.tar"):
        (stage.folder / name).touch()
    return stage


def _make_mine(clone: Path) -> Path:
    mine = clone / "k8s" / "overlays" / "mine"
    mine.mkdir()
    (kustomization,) = (text for text in blocks("yaml") if "kind: Kustomization" in text)
    (mine / "kustomization.yaml").write_text(kustomization)
    (mine / "settings.env").write_text("DEVEX_PUBLIC_URL=https://code.example.com\n")
    return mine


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[:40])
def test_a_command_is_one(command: str, stage: Stage) -> None:
    calls, _ = stage.run(command)
    settings = [line for line in command.splitlines() if line.startswith(PREFIX)]
    assert calls or settings
    for call in calls:
        _is_known(call, stage.folder)
    for line in settings:
        assert line.partition("=")[0] in _settings()


def _is_known(call: Call, clone: Path) -> None:
    program, *arguments = call
    match program:
        case "make":
            targets = TARGETS.findall((ROOT / "Makefile").read_text())
            assert {one for one in arguments if "=" not in one} <= set(targets)
        case "devex":
            given = CliRunner().invoke(cli, [*arguments, "--help"])
            assert given.exit_code == 0, given.output
        case "kubectl":
            ours, dashes, inside = _parted(arguments)
            helped = subprocess.run([KUBECTL, *ours, "--help"], capture_output=True, text=True, check=False)
            assert helped.returncode == 0, helped.stderr
            # A group's help means that the word after it is no command of it; `apply` is both.
            assert "Available Commands:" not in helped.stdout or "apply" in ours, ours
            for named, path in pairwise(ours):
                if named in ("--kustomize", "--filename", "--from-env-file"):
                    assert (clone / path).exists() or (clone / "k8s" / path).exists(), path
            if dashes and inside[0] == "devex":
                _is_known(inside, clone)


def _parted(arguments: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in arguments:
        return arguments, False, []
    at = arguments.index("--")
    return arguments[:at], True, arguments[at + 1 :]


def _settings() -> set[str]:
    return {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}


def test_the_readers_overlay_is_built(tmp_path: Path) -> None:
    clone = Stage(tmp_path).folder
    found = objects(_make_mine(clone))
    told = settings_in(found)
    assert told["DEVEX_PUBLIC_URL"] == "https://code.example.com"
    assert told.keys() == settings_in(overlay("production")).keys()
    (image,) = (container["image"] for pod in pods(found) for container in pod["spec"]["containers"])
    assert image == "registry.code.example.com/devex-server:0.1.0"
    (ingress,) = of_kind(found, "Ingress")
    hosts = ["code.example.com", "*.preview.example.com"]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == hosts
    assert [one["hosts"] for one in ingress["spec"]["tls"]] == [[host] for host in hosts]


@pytest.mark.parametrize("block", blocks("ini"), ids=lambda block: block[:20])
def test_settings_of_a_cluster_can_be_used(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = settings_in(overlay("production")) | dict(line.split("=", 1) for line in block.splitlines())
    assert told.keys() <= _settings()
    (tmp_path / "kubeconfig").touch()
    for name, value in (told | BY_HAND).items():
        monkeypatch.setenv(name, value.replace("/etc/devex", str(tmp_path)))
    assert Settings().backend == "kubernetes"


def test_overlays_are_told_of() -> None:
    table = {
        name
        for row in re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", PAGE, re.MULTILINE)
        for name in INLINE.findall(row)
    }
    assert {path.name for path in (ROOT / "k8s" / "overlays").iterdir()} <= table


def test_room_is_counted_as_pods_take_it() -> None:
    """What the page says of one REPL's pod is what its manifest asks for."""
    size = make_spec().size
    pod = deployment(make_spec(), CLUSTER)["spec"]["template"]["spec"]
    asked = {name: parse_quantity(text) for name, text in pod["containers"][0]["resources"]["requests"].items()}  # type: ignore[no-untyped-call]
    proxy = {name: text.rstrip("Mim") for name, text in PROXY_REQUESTS.items()}
    assert asked["cpu"] * 20 == size.cpus
    assert f"a twentieth of `DEVEX_CPUS` and {proxy['cpu']} mCPU" in PAGE
    assert asked["memory"] * 8 == size.memory_bytes
    assert f"an eighth of `DEVEX_MEMORY_MIB` and {proxy['memory']} MiB" in PAGE
    assert asked["ephemeral-storage"] * 8 == size.disk_bytes
    assert f"an eighth of `DEVEX_DISK_MIB` and {proxy['ephemeral-storage']} MiB" in PAGE
    assert f"`DEVEX_MEMORY_MIB` and {PROXY_LIMITS['memory'].removesuffix('Mi')} MiB" in PAGE
    assert f"2 × `DEVEX_DISK_MIB` and {PROXY_LIMITS['ephemeral-storage'].removesuffix('Mi')} MiB" in PAGE
