"""What may be set: the forms that the values of single settings take, each with the sentence that refuses others.

A check is given the value and returns it as it is kept; it raises ValueError, with what the value must look like.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from orchestrator import templates
from orchestrator.backends.kubernetes.cluster import POD_FIELDS, Ingress, Network

WARM_MOST = 100  # pods that do nothing hold room on nodes, some 150 MiB each
MIB_MOST = 1 << 30  # a PiB; the kernel's limits end at 8 EiB
CPUS_LEAST = 0.01  # the kernel's least share: 1 ms of 100
CPUS_MOST = 8192  # what Linux serves
PIDS_MOST = 1 << 22  # the kernel's most
PRIVATE_LEAST_BITS = 4  # of a part of the Internet: all of it has three, of IPv6

_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)"
_PORT = r":(?!6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4})[1-9][0-9]{0,4}"  # 65535 at most
_HOST_PORT = re.compile(_HOST + _PORT)
_HOST_MAYBE_PORT = re.compile(f"{_HOST}({_PORT})?")
_DOMAIN_MAYBE_PORT = re.compile(rf"(?!\[|([^:]*\.)?\d+(:|$)){_HOST}({_PORT})?")  # names are made below it: no address
_PATTERN = re.compile(rf"(\*\.)?{_HOST}({_PORT})?")
_ORIGIN = re.compile(f"https?://{_HOST}({_PORT})?")
_LINK_URL = re.compile(rf"wss?://\{{name\}}\.{_HOST}({_PORT})?")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]*")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_STORAGE = re.compile(r"emptyDir|claim(:[a-z0-9][a-z0-9.-]*)?")
_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])((/[A-Za-z0-9!_.'()*-]+)*)/?")

T = TypeVar("T")

SignUp = Literal["open", "invite", "closed"]
Reach = Literal["pod", "ingress", "api"]


def _split(value: Any) -> Any:
    return tuple(word for word in value.replace(",", " ").split()) if isinstance(value, str) else value


def _from_json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("it must be JSON") from None


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
FromJson = Annotated[T, NoDecode, BeforeValidator(_from_json)]


def _each_fits(words: tuple[str, ...], form: re.Pattern[str], example: str) -> tuple[str, ...]:
    lowered = tuple(word.lower() for word in words)
    if not all(form.fullmatch(word) for word in lowered):
        raise ValueError(f"each must look like {example}")
    return lowered


def _are_hosts(value: tuple[str, ...]) -> tuple[str, ...]:
    return _each_fits(value, _HOST_MAYBE_PORT, "devex.example.com or devex.example.com:8080")


def _are_patterns(value: tuple[str, ...]) -> tuple[str, ...]:
    return _each_fits(value, _PATTERN, "example.org, *.example.org or example.org:443")


def _are_pairs(value: tuple[str, ...]) -> tuple[str, ...]:
    return _each_fits(value, _HOST_PORT, "pypi.example.com:443")


def _are_addresses(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ip_network(one)) for one in value)
    except ValueError:
        raise ValueError("each must be an address or a network, such as 10.0.0.2 or 10.244.0.0/16") from None


def _are_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        networks = [ip_network(one) for one in value]
    except ValueError:
        raise ValueError("each must be a network, such as 2001:db8:1::/48 or 198.51.100.0/24") from None
    if any(one.prefixlen < PRIVATE_LEAST_BITS for one in networks):
        raise ValueError("a network is too large: with `egress` none nothing is reached")
    return tuple(map(str, networks))


Hosts = Annotated[Words, AfterValidator(_are_hosts)]
HostPatterns = Annotated[Words, AfterValidator(_are_patterns)]
HostPorts = Annotated[Words, AfterValidator(_are_pairs)]
Addresses = Annotated[Words, AfterValidator(_are_addresses)]
Networks = Annotated[Words, AfterValidator(_are_networks)]


def _is_origin(value: str) -> str:
    origin = value.rstrip("/").lower()
    if origin and not _ORIGIN.fullmatch(origin):
        raise ValueError("it must look like https://devex.example.com, without a path")
    return origin


def _is_endpoint(value: str) -> str:
    endpoint = value.rstrip("/").lower()
    if endpoint and not _ORIGIN.fullmatch(endpoint):
        raise ValueError("it must look like https://minio.example.com:9000, without a path")
    return endpoint


def _is_domain(value: str) -> str:
    domain = value.strip(".").lower()
    if not _DOMAIN_MAYBE_PORT.fullmatch(domain):
        raise ValueError("it must be a domain such as preview.example.com")
    return domain


Origin = Annotated[str, AfterValidator(_is_origin)]
Endpoint = Annotated[str, AfterValidator(_is_endpoint)]
Domain = Annotated[str, AfterValidator(_is_domain)]


def _is_database(value: SecretStr) -> SecretStr:
    if not re.match("(postgres|postgresql|sqlite)://.|$", value.get_secret_value()):
        raise ValueError("it must look like postgres://user:password@host/name or sqlite:///path")
    return value


def _is_long(value: SecretStr) -> SecretStr:
    if 0 < len(value.get_secret_value()) < 32:
        raise ValueError("it must have at least 32 characters")
    return value


DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_database)]
LongSecret = Annotated[SecretStr, AfterValidator(_is_long)]


def _fits_an_address(value: Path) -> Path:
    """The ORM takes SQLite's file as an address: it would cut these off, and open another file."""
    if any(character in str(value) for character in "?\n\r\t\0"):
        raise ValueError("it must be a path without question marks, tabs and line breaks")
    return value


def _is_file(value: str) -> str:
    if value and not Path(value).is_file():
        raise ValueError("there is no such file")
    return str(Path(value).resolve()) if value else ""


DataDir = Annotated[Path, AfterValidator(_fits_an_address)]
ExistingFile = Annotated[str, AfterValidator(_is_file)]


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    prefix: str  # of every key: "devex/", or ""


def parsed_store(text: str) -> Path | Bucket | None:
    """What DEVEX_STORE names; None is the default. Raises ValueError, with what it must look like."""
    if not text:
        return None
    if found := _BUCKET.fullmatch(text):
        prefix = found[2].strip("/")
        return Bucket(found[1], f"{prefix}/" if prefix else "")
    if not text.startswith("/") or "\0" in text:
        raise ValueError("it must look like s3://bucket/prefix or /the/absolute/path/of/a/folder")
    return Path(text)


def _is_store(value: str) -> str:
    parsed_store(value)
    return value


Store = Annotated[str, AfterValidator(_is_store)]


def _are_of_templates(value: Mapping[str, T]) -> Mapping[str, T]:
    known = templates.load() if value else {}
    for template in value:
        if template not in known:
            raise ValueError(f"there is no template {template}")
    return value


MemoryMib = Annotated[int, Field(ge=64, le=MIB_MOST)]
Cpus = Annotated[float, Field(ge=CPUS_LEAST, le=CPUS_MOST)]
Pids = Annotated[int, Field(ge=16, le=PIDS_MOST)]
DiskMib = Annotated[int, Field(ge=16, le=MIB_MOST)]


@dataclass(frozen=True, slots=True)
class OwnSize:
    """Of one template; None is as for all."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's word for it

    memory_mib: MemoryMib | None = None
    cpus: Cpus | None = None
    pids: Pids | None = None
    disk_mib: DiskMib | None = None


Sizes = Annotated[FromJson[Mapping[str, OwnSize]], AfterValidator(_are_of_templates)]


def _is_namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise ValueError("it must be a name such as devex-repls")
    return value


def _is_image(value: str) -> str:
    if value and not _IMAGE.fullmatch(value):
        raise ValueError("it must look like registry.example.com/devex:1")
    return value


def _are_images(value: Mapping[str, str]) -> Mapping[str, str]:
    return {template: _is_image(image) for template, image in value.items()}


def _are_counts(value: Mapping[str, int]) -> Mapping[str, int]:
    for template, count in value.items():
        if count < 0:
            raise ValueError(f"{template}: it must be at least 0")
    if sum(value.values()) > WARM_MOST:
        raise ValueError(f"all together must be at most {WARM_MOST}")
    return value


def _is_of_a_pod(value: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, said in value.items():
        if name not in POD_FIELDS:
            raise ValueError(f"{name} is none of {', '.join(POD_FIELDS)}")
        if not isinstance(said, POD_FIELDS[name]):
            raise ValueError(f"{name} is not what a pod has there")
    return value


def _is_storage(value: str) -> str:
    if not _STORAGE.fullmatch(value):
        raise ValueError("it must be emptyDir, claim, or claim: and a storage class")
    return value


def _are_addresses_and_ports(value: Network) -> Network:
    connected = [*value.store, *([value.allowlist_proxy] if value.allowlist_proxy else [])]
    for peer in [*value.gateway, *value.dns, *connected]:
        if bool(peer.cidr) is bool(peer.labels or peer.namespace):
            raise ValueError("each peer has a cidr, or a namespace and labels")
        if peer.cidr:
            ip_network(peer.cidr)  # its message is a sentence
    if not all(0 < one.port < 65536 for one in connected):
        raise ValueError("ports are from 1 to 65535")
    if value.allowlist_proxy and not _is_proxy(value.allowlist_proxy.url):
        raise ValueError("the url of its allowlist_proxy must look like http://10.96.0.7:3128")
    return value


def _is_proxy(url: str) -> bool:
    """Of an address: who has to go by it looks up no names."""
    try:
        found = urlsplit(url)
        ip_address(found.hostname or "")
        return found.scheme == "http" and bool(found.port)
    except ValueError:
        return False


def _is_ingress(value: Ingress | None) -> Ingress | None:
    if value and value.link_url and not _LINK_URL.fullmatch(value.link_url):
        raise ValueError("its link_url must look like wss://{name}.links.example.com")
    if value and value.ca_file:
        _is_file(value.ca_file)
    return value


Namespace = Annotated[str, AfterValidator(_is_namespace)]
Image = Annotated[str, AfterValidator(_is_image)]
Images = Annotated[FromJson[Mapping[str, str]], AfterValidator(_are_images)]  # by template
WarmPods = Annotated[FromJson[Mapping[str, int]], AfterValidator(_are_of_templates), AfterValidator(_are_counts)]
PodFields = Annotated[FromJson[Mapping[str, Any]], AfterValidator(_is_of_a_pod)]
Storage = Annotated[str, AfterValidator(_is_storage)]
PodNetwork = Annotated[FromJson[Network], AfterValidator(_are_addresses_and_ports)]
PodIngress = Annotated[FromJson[Ingress | None], AfterValidator(_is_ingress)]
