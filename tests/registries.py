"""The package registries that pip and npm use on this machine, as its configuration says, for programs in a sandbox."""

import functools
import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

_ASK_S = 60
_CERTIFICATES = ".registries.pem"  # in the workspace
_LIST_PYTHON = {"Accept": "application/vnd.pypi.simple.v1+json"}  # PEP 691


@dataclass(frozen=True, slots=True)
class Registries:
    """`hosts`: `host:port` of indexes and downloads, an administrator's exceptions wherever they are."""

    hosts: frozenset[str]
    environment: Mapping[str, str]
    files: Mapping[str, bytes]  # for the workspace


@functools.cache
def configured() -> Registries:
    """Asks pip and npm, and each registry for one package: where it lets packages be fetched from."""
    python, node = _pip_index().rstrip("/"), _said("npm", "config", "get", "registry").rstrip("/")
    certificates = _pip_settings().get("cert") or _npm_setting("cafile")
    trust = ssl.create_default_context(cafile=certificates)
    with httpx.Client(verify=trust, timeout=_ASK_S, follow_redirects=True, trust_env=False) as client:
        wheels = client.get(f"{python}/flask/", headers=_LIST_PYTHON).raise_for_status()
        tarball = client.get(f"{node}/react/latest").raise_for_status().json()["dist"]["tarball"]
    downloads = [str(httpx.URL(str(wheels.url)).join(file["url"])) for file in wheels.json()["files"]]
    environment = {"PIP_INDEX_URL": python, "npm_config_registry": node}
    files = {}
    if certificates:
        inside = f"/workspace/{_CERTIFICATES}"
        environment |= {"PIP_CERT": inside, "npm_config_cafile": inside}
        with open(certificates, "rb") as bundle:
            files[_CERTIFICATES] = bundle.read()
    return Registries(frozenset(map(_host, [python, *downloads, node, tarball])), environment, files)


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _pip_index() -> str:
    """What `--index-url` is when it is not given: the help of pip knows its own default."""
    default = _said(sys.executable, "-m", "pip", "install", "--help").partition("Index (default ")[2].partition(")")[0]
    return _pip_settings().get("index-url", default)


def _pip_settings() -> dict[str, str]:
    """What was said for `install` goes before what was said for all, and the environment before both."""
    lines = _said(sys.executable, "-m", "pip", "config", "list").splitlines()
    found = {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in lines)}
    settings: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        settings |= {name.removeprefix(section): value for name, value in found.items() if name.startswith(section)}
    return settings


def _npm_setting(name: str) -> str | None:
    said = _said("npm", "config", "get", name)
    return None if said in ("null", "undefined", "") else said


def _said(*command: str) -> str:
    """Wide enough that no line is broken."""
    environment = {**os.environ, "COLUMNS": "1000"}
    asked = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_ASK_S, env=environment)
    return asked.stdout.strip()
