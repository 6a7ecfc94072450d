"""What there is to set, and what may be set. `docs/configuration.md` is generated from these descriptions."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from orchestrator import templates
from orchestrator.backends.kubernetes.cluster import POD_FIELDS, Ingress, Network
from orchestrator.domain import Egress, Limits, Size
from runner.errors import DevexError

PREFIX = "DEVEX_"
MIB = 1024 * 1024
DAY_S = 86400
LIMITS = Limits()  # each of its numbers has its reason there; here an operator may change them
POD_START_S = 600  # a node is added and an image pulled, on real clusters; meanwhile the page says what is waited for
POD_STOP_S = 180  # the grace of a pod, 120 s, and a kubelet that is slow
WARM_MOST = 100  # pods that do nothing hold room on nodes, some 150 MiB each
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FILE = ".env"
YEAR_S = 365 * DAY_S  # longer times are mistakes, and soon more than dates can hold
MIB_MOST = 1 << 30  # a PiB; the kernel's limits end at 8 EiB
CPUS_LEAST = 0.01  # the kernel's least share: 1 ms of 100
CPUS_MOST = 8192  # what Linux serves
PIDS_MOST = 1 << 22  # the kernel's most

_HOST = r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)"
_PORT = r":(?!6553[6-9]|655[4-9]\d|65[6-9]\d\d|6[6-9]\d{3}|[7-9]\d{4})[1-9][0-9]{0,4}"  # 65535 at most
_HOST_PORT = re.compile(_HOST + _PORT)
_HOST_MAYBE_PORT = re.compile(f"{_HOST}({_PORT})?")
_DOMAIN_MAYBE_PORT = re.compile(rf"(?!\[|([^:]*\.)?\d+(:|$)){_HOST}({_PORT})?")  # names are made below it: no address
_PATTERN = re.compile(rf"(\*\.)?{_HOST}({_PORT})?")
_LINK_URL = re.compile(rf"wss?://\{{name\}}\.{_HOST}({_PORT})?")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9._:/@-]*")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_STORAGE = re.compile(r"emptyDir|claim(:[a-z0-9][a-z0-9.-]*)?")
_BUCKET = re.compile(r"s3://([A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])((/[A-Za-z0-9!_.'()*-]+)*)/?")

PRIVATE_LEAST_BITS = 4  # of a part of the Internet: all of it has three, of IPv6

Words = Annotated[tuple[str, ...], NoDecode]
MemoryMib = Annotated[int, Field(ge=64, le=MIB_MOST)]
Cpus = Annotated[float, Field(ge=CPUS_LEAST, le=CPUS_MOST)]
Pids = Annotated[int, Field(ge=16, le=PIDS_MOST)]
DiskMib = Annotated[int, Field(ge=16, le=MIB_MOST)]
SignUp = Literal["open", "invite", "closed"]
Reach = Literal["pod", "ingress", "api"]


@dataclass(frozen=True, slots=True)
class OwnSize:
    """Of one template; None is as for all."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - pydantic's word for it

    memory_mib: MemoryMib | None = None
    cpus: Cpus | None = None
    pids: Pids | None = None
    disk_mib: DiskMib | None = None


class BadSetting(DevexError):
    """A setting that cannot be used; the message names its variable."""

    def __init__(self, message: str) -> None:
        super().__init__("setting", message, "Correct it in the environment or in .env.", status=500)


class Settings(BaseSettings):
    """Read from the environment (`DEVEX_…`), then from the file `.env`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=FILE, env_ignore_empty=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        default="",
        description="The address people type, such as `https://devex.example.com`; by default that of host and port.",
    )
    allowed_hosts: Words = Field(
        default=(), description="Further `host[:port]` names under which the application may be asked, comma-separated."
    )
    preview_domain: str = Field(
        default="localhost",
        description="Programs' ports are shown at `{port}-{slug}.` this domain (wildcard DNS). Use another registrable "
        "domain than the application's.",
    )
    trusted_proxies: Words = Field(
        default=(),
        description="Addresses or networks of the proxies in front, comma-separated: their `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed. Without it everybody behind a proxy counts as one address.",
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Listen on a public address without https: passwords cross the network readable.",
    )
    data_dir: Path = Field(default=Path("data"), description="Where workspaces, the database and the secret are kept.")
    database_url: SecretStr = Field(
        default=SecretStr(""),
        description="`postgres://user:password@host/name` or `sqlite:///path`; by default a file in `data_dir`.",
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signs cookies, and makes the keys of pods: all servers of a cluster need the same. At least 32 "
        "characters; by default one is made in `data_dir`.",
    )
    store: str = Field(
        default="",
        description="Where versions are kept: `s3://bucket/prefix` or the absolute path of a folder; by default "
        "`store` in `data_dir`. See [operations.md](operations.md).",
    )
    s3_endpoint: str = Field(
        default="", description="Address of the S3 server, such as `https://minio.example.com:9000`; by default AWS."
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_access_key: str = Field(
        default="",
        description="With `s3_secret_key`. By default they are looked for as AWS's tools do: environment, files, the "
        "machine's role.",
    )
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="The secret that belongs to `s3_access_key`.")
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Where the bucket's name goes: into the `path`, or into the host (`virtual`). `auto`: as AWS "
        "wants, and into the path at an `s3_endpoint`.",
    )
    s3_ca_file: str = Field(
        default="", description="File of certificates (PEM) to trust for `s3_endpoint` in place of the usual ones."
    )
    s3_sse: Literal["", "AES256", "aws:kms"] = Field(
        default="", description="Have the S3 server encrypt at rest: `AES256` or `aws:kms`."
    )
    s3_sse_key: str = Field(default="", description="Id of the key for `aws:kms`; by default the bucket's.")
    autosave_s: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds from the first change to the next version in the store: what a machine that dies takes "
        "along. More versions cost more requests.",
    )
    sign_up: SignUp = Field(
        default="invite", description="Who may make an account: anyone, whoever has an invitation, or nobody."
    )
    session_days: int = Field(
        default=14, ge=1, le=365, description="A browser not seen for this many days must sign in again."
    )
    idle_stop_s: int = Field(
        default=int(LIMITS.idle_stop_s),
        ge=60,
        le=YEAR_S,
        description="Seconds without activity after which a REPL is stopped.",
    )
    extend_hours_a_day: int = Field(
        default=int(LIMITS.extend_day_s // 3600),
        ge=0,
        le=24_000,
        description="Hours a day for which one user may keep REPLs awake by Extend, all of them together.",
    )
    trash_days: int = Field(
        default=int(LIMITS.trash_s // DAY_S),
        ge=1,
        le=3650,
        description="Days after which a deleted REPL is removed for good.",
    )
    max_repls: int = Field(
        default=LIMITS.max_repls, ge=1, description="REPLs one user may have, those in the trash included."
    )
    max_running: int = Field(default=LIMITS.max_running, ge=1, description="REPLs of one user that may run at once.")
    memory_mib: MemoryMib = Field(default=LIMITS.size.memory_bytes // MIB, description="Memory of one REPL, in MiB.")
    cpus: Cpus = Field(default=LIMITS.size.cpus, description="Processors one REPL may use.")
    pids: Pids = Field(
        default=LIMITS.size.pids,
        description="Processes and threads one REPL may have; a pod as many as its node's `podPidsLimit` says.",
    )
    disk_mib: DiskMib = Field(default=LIMITS.size.disk_bytes // MIB, description="Files of one REPL, in MiB.")
    sizes: Annotated[Mapping[str, OwnSize], NoDecode] = Field(
        default={},
        description='Other sizes by template, as JSON: `{"java": {"memory_mib": 2048, "cpus": 2}}`; also `pids` and '
        "`disk_mib`. What one leaves out is as above. A REPL that runs has them from its next start.",
    )
    egress: Egress = Field(
        default=LIMITS.egress,
        description="What programs may connect to: `none`, `allowlist` or `public` addresses. Of pods the `allowlist` "
        "is kept by `devex egress-proxy`, which alone reads the next two.",
    )
    egress_allow: Words = Field(
        default=(),
        description="What the egress `allowlist` holds, comma-separated: `host`, `*.domain`, either with `:port`.",
    )
    egress_except: Words = Field(
        default=(),
        description="`host:port` that programs may reach wherever it is, such as a package index of your network.",
    )
    egress_private: Words = Field(
        default=(),
        description="Networks that programs may not reach though their addresses are public, comma-separated: those of "
        "your own machines, and of a cluster whose pods, services or nodes have global IPv6 addresses.",
    )
    launcher_grace_s: int = Field(
        default=300,
        ge=0,
        le=YEAR_S,
        description="Seconds for which REPLs run on without a server before they are stopped; pods are not.",
    )
    backend: Literal["local", "kubernetes"] = Field(
        default="local",
        description="Where REPLs run: in sandboxes of this machine (`local`), or as pods (`kubernetes`). Pods need an "
        "S3 `store`, `k8s_proxy_image` and `k8s_image`; and either `kubeconfig`, or a PostgreSQL `database_url` and a "
        "`secret`. See [operations.md](operations.md).",
    )
    kubeconfig: str = Field(
        default="",
        description="File by which the cluster is reached from outside of it; by default the service account of the "
        "pod that DEVEX runs in.",
    )
    k8s_reach: Reach = Field(
        default="pod",
        description="How REPLs are reached: at the address of their `pod`, by `ingress` (see `k8s_ingress`), or "
        "through the `api` server, which works from anywhere and carries every byte.",
    )
    k8s_namespace: str = Field(
        default="devex-repls", description="Namespace of the pods: of nothing else, and of one installation."
    )
    k8s_proxy_image: str = Field(default="", description="Image of the proxy beside the programs.")
    k8s_image: str = Field(default="", description="Image of the programs, for templates that `k8s_images` leaves out.")
    k8s_images: Annotated[Mapping[str, str], NoDecode] = Field(
        default={}, description='Images by template, as JSON: `{"go": "registry.example.com/devex-go:1"}`.'
    )
    k8s_warm: Annotated[Mapping[str, int], NoDecode] = Field(
        default={},
        description='Pods kept ready by template, as JSON: `{"python": 2}`. A REPL that gets one is there at once. '
        "Not with `claim` as `k8s_storage`.",
    )
    k8s_pod: Annotated[Mapping[str, Any], NoDecode] = Field(
        default={},
        description="What else a pod is to say, as JSON in Kubernetes's words: "
        f"{', '.join(f'`{name}`' for name in POD_FIELDS)}.",
    )
    k8s_storage: str = Field(
        default="emptyDir",
        description="Where a workspace lies while it runs: on its node (`emptyDir`), or on a volume of its own that "
        "stays (`claim`, or `claim:` and a storage class).",
    )
    k8s_network: Annotated[Network, NoDecode] = Field(
        default=Network(),
        description="For the NetworkPolicies, as JSON: who opens links (`gateway`) and answers names (`dns`), lists of "
        '`{"namespace": …, "labels": {…}}` or `{"cidr": …}`; where the `store` is, such with a `port`; the '
        "`allowlist_proxy`, such with a `port` and a `url`. By default DEVEX's pods in the namespace `devex` open "
        "links, and the cluster's DNS in `kube-system` answers names.",
    )
    k8s_ingress: Annotated[Ingress | None, NoDecode] = Field(
        default=None,
        description="The ingress controller, as JSON: `class_name`, `controller` (as in `k8s_network`), `tls_secret` "
        "for its hosts, `annotations` of each Ingress, `preview_ports` (by default "
        "3000, 5000, 5173, 8000, 8080); `link_url` such as `wss://{name}.links.example.com` and its `ca_file` for "
        "`k8s_reach`.",
    )
    log_format: Literal["console", "json"] = Field(default="console", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged."
    )
    access_log: bool = Field(
        default=False, description="Log every request: method, path, status, duration; never its query."
    )

    @field_validator(
        "allowed_hosts", "trusted_proxies", "egress_allow", "egress_except", "egress_private", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(word for word in value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("sizes", "k8s_images", "k8s_warm", "k8s_pod", "k8s_network", "k8s_ingress", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("it must be JSON") from None

    @field_validator("k8s_proxy_image", "k8s_image")
    @classmethod
    def _is_image(cls, value: str) -> str:
        if value and not _IMAGE.fullmatch(value):
            raise ValueError("it must look like registry.example.com/devex:1")
        return value

    @field_validator("k8s_images")
    @classmethod
    def _are_images(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        return {template: cls._is_image(image) for template, image in value.items()}

    @field_validator("sizes", "k8s_warm")
    @classmethod
    def _are_of_templates(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        known = templates.load() if value else {}
        for template in value:
            if template not in known:
                raise ValueError(f"there is no template {template}")
        return value

    @field_validator("k8s_warm")
    @classmethod
    def _are_counts(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        for template, count in value.items():
            if count < 0:
                raise ValueError(f"{template}: it must be at least 0")
        if sum(value.values()) > WARM_MOST:
            raise ValueError(f"all together must be at most {WARM_MOST}")
        return value

    @field_validator("k8s_namespace")
    @classmethod
    def _is_namespace(cls, value: str) -> str:
        if not _NAMESPACE.fullmatch(value):
            raise ValueError("it must be a name such as devex-repls")
        return value

    @field_validator("k8s_storage")
    @classmethod
    def _is_storage(cls, value: str) -> str:
        if not _STORAGE.fullmatch(value):
            raise ValueError("it must be emptyDir, claim, or claim: and a storage class")
        return value

    @field_validator("k8s_pod")
    @classmethod
    def _is_of_a_pod(cls, value: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, said in value.items():
            if name not in POD_FIELDS:
                raise ValueError(f"{name} is none of {', '.join(POD_FIELDS)}")
            if not isinstance(said, POD_FIELDS[name]):
                raise ValueError(f"{name} is not what a pod has there")
        return value

    @field_validator("k8s_network")
    @classmethod
    def _are_addresses_and_ports(cls, value: Network) -> Network:
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

    @field_validator("k8s_ingress")
    @classmethod
    def _is_ingress(cls, value: Ingress | None) -> Ingress | None:
        if value and value.link_url and not _LINK_URL.fullmatch(value.link_url):
            raise ValueError("its link_url must look like wss://{name}.links.example.com")
        if value and value.ca_file:
            cls._is_file(value.ca_file)
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _each_fits(value, _HOST_MAYBE_PORT, "devex.example.com or devex.example.com:8080")

    @field_validator("egress_allow")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _each_fits(value, _PATTERN, "example.org, *.example.org or example.org:443")

    @field_validator("egress_except")
    @classmethod
    def _are_pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _each_fits(value, _HOST_PORT, "pypi.example.com:443")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(str(ip_network(one)) for one in value)
        except ValueError:
            raise ValueError("each must be an address or a network, such as 10.0.0.2 or 10.244.0.0/16") from None

    @field_validator("egress_private")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            networks = [ip_network(one) for one in value]
        except ValueError:
            raise ValueError("each must be a network, such as 2001:db8:1::/48 or 198.51.100.0/24") from None
        if any(one.prefixlen < PRIVATE_LEAST_BITS for one in networks):
            raise ValueError("a network is too large: with `egress` none nothing is reached")
        return tuple(map(str, networks))

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        origin = value.rstrip("/").lower()
        if origin and not re.fullmatch(f"https?://{_HOST}({_PORT})?", origin):
            raise ValueError("it must look like https://devex.example.com, without a path")
        return origin

    @field_validator("database_url")
    @classmethod
    def _is_database(cls, value: SecretStr) -> SecretStr:
        if not re.match("(postgres|postgresql|sqlite)://.|$", value.get_secret_value()):
            raise ValueError("it must look like postgres://user:password@host/name or sqlite:///path")
        return value

    @field_validator("data_dir")
    @classmethod
    def _fits_an_address(cls, value: Path) -> Path:
        """The ORM takes SQLite's file as an address: it would cut these off, and open another file."""
        if any(character in str(value) for character in "?\n\r\t\0"):
            raise ValueError("it must be a path without question marks, tabs and line breaks")
        return value

    @field_validator("store")
    @classmethod
    def _is_store(cls, value: str) -> str:
        parsed_store(value)
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _is_endpoint(cls, value: str) -> str:
        endpoint = value.rstrip("/").lower()
        if endpoint and not re.fullmatch(f"https?://{_HOST}({_PORT})?", endpoint):
            raise ValueError("it must look like https://minio.example.com:9000, without a path")
        return endpoint

    @field_validator("s3_ca_file", "kubeconfig")
    @classmethod
    def _is_file(cls, value: str) -> str:
        if value and not Path(value).is_file():
            raise ValueError("there is no such file")
        return str(Path(value).resolve()) if value else ""

    @field_validator("preview_domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        domain = value.strip(".").lower()
        if not _DOMAIN_MAYBE_PORT.fullmatch(domain):
            raise ValueError("it must be a domain such as preview.example.com")
        return domain

    @field_validator("secret")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("it must have at least 32 characters")
        return value

    @model_validator(mode="after")
    def _is_private(self) -> "Settings":
        if self.host not in LOOPBACK and not self.origin.startswith("https:") and not self.allow_plain_http:
            raise ValueError(
                "DEVEX_HOST is a public address: set DEVEX_PUBLIC_URL to the https:// address of the proxy in front "
                "of it, or DEVEX_ALLOW_PLAIN_HTTP=true on a network you trust"
            )
        return self

    @model_validator(mode="after")
    def _belong_together(self) -> "Settings":
        if bool(self.s3_access_key) is not bool(self.s3_secret_key.get_secret_value()):
            raise ValueError("DEVEX_S3_ACCESS_KEY and DEVEX_S3_SECRET_KEY are set both or not at all")
        if self.s3_sse_key and self.s3_sse != "aws:kms":
            raise ValueError("DEVEX_S3_SSE_KEY is for DEVEX_S3_SSE=aws:kms")
        return self

    @model_validator(mode="after")
    def _have_what_pods_need(self) -> "Settings":
        if self.backend != "kubernetes":
            return self
        if not isinstance(parsed_store(self.store), Bucket):
            raise ValueError("DEVEX_BACKEND=kubernetes needs DEVEX_STORE=s3://bucket/prefix: pods keep no files")
        if not (self.k8s_proxy_image and self.k8s_image):
            raise ValueError("DEVEX_BACKEND=kubernetes needs DEVEX_K8S_PROXY_IMAGE and DEVEX_K8S_IMAGE")
        shared = self.database_url.get_secret_value().startswith("postgres") and self.secret.get_secret_value()
        if not (shared or self.kubeconfig):
            raise ValueError(  # its disk goes with it, and others run beside it, if only while it is replaced
                "DEVEX_BACKEND=kubernetes needs DEVEX_DATABASE_URL (PostgreSQL) and DEVEX_SECRET, or DEVEX_KUBECONFIG"
            )
        if self.k8s_warm and self.k8s_storage != "emptyDir":
            raise ValueError("DEVEX_K8S_WARM is for DEVEX_K8S_STORAGE=emptyDir: a claim is one REPL's")
        if self.k8s_reach == "ingress" and not (self.k8s_ingress and self.k8s_ingress.link_url):
            raise ValueError("DEVEX_K8S_REACH=ingress needs a link_url in DEVEX_K8S_INGRESS")
        if self.egress is Egress.ALLOWLIST and not self.k8s_network.allowlist_proxy:
            raise ValueError("DEVEX_EGRESS=allowlist needs an allowlist_proxy in DEVEX_K8S_NETWORK")
        return self

    @property
    def origin(self) -> str:
        """Scheme, host and port at which the application is asked, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    @property
    def https(self) -> bool:
        return self.origin.startswith("https:")

    @property
    def limits(self) -> Limits:
        """What one owner's REPLs may use."""
        pods = {"start_deadline_s": POD_START_S, "stop_deadline_s": POD_STOP_S} if self.backend == "kubernetes" else {}
        return Limits(
            **pods,
            max_repls=self.max_repls,
            max_running=self.max_running,
            idle_stop_s=self.idle_stop_s,
            extend_day_s=self.extend_hours_a_day * 3600,
            trash_s=self.trash_days * DAY_S,
            size=self._size(OwnSize()),
            sizes={template: self._size(own) for template, own in self.sizes.items()},
            egress=self.egress,
        )

    def _size(self, own: OwnSize) -> Size:
        return Size(
            memory_bytes=(own.memory_mib or self.memory_mib) * MIB,
            cpus=own.cpus or self.cpus,
            pids=own.pids or self.pids,
            disk_bytes=(own.disk_mib or self.disk_mib) * MIB,
        )


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


def _is_proxy(url: str) -> bool:
    """Of an address: who has to go by it looks up no names."""
    try:
        found = urlsplit(url)
        ip_address(found.hostname or "")
        return found.scheme == "http" and bool(found.port)
    except ValueError:
        return False


def _each_fits(words: tuple[str, ...], form: re.Pattern[str], example: str) -> tuple[str, ...]:
    lowered = tuple(word.lower() for word in words)
    if not all(form.fullmatch(word) for word in lowered):
        raise ValueError(f"each must look like {example}")
    return lowered
