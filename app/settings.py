"""What there is to set. `docs/configuration.md` is generated from these descriptions."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.setting_forms import (
    Addresses,
    Bucket,
    Cpus,
    DatabaseUrl,
    DataDir,
    DiskMib,
    Domain,
    Endpoint,
    ExistingFile,
    HostPatterns,
    HostPorts,
    Hosts,
    Image,
    Images,
    LongSecret,
    MemoryMib,
    Namespace,
    Networks,
    Origin,
    OwnSize,
    Pids,
    PodFields,
    PodIngress,
    PodNetwork,
    Reach,
    SignUp,
    Sizes,
    Storage,
    Store,
    WarmPods,
    parsed_store,
)
from orchestrator.backends.kubernetes.cluster import POD_FIELDS, Network
from orchestrator.domain import Egress, Limits, Size
from runner.errors import DevexError

PREFIX = "DEVEX_"
MIB = 1024 * 1024
DAY_S = 86400
LIMITS = Limits()  # each of its numbers has its reason there; here an operator may change them
POD_START_S = 600  # a node is added and an image pulled, on real clusters; meanwhile the page says what is waited for
POD_STOP_S = 180  # the grace of a pod, 120 s, and a kubelet that is slow
LOOPBACK = ("127.0.0.1", "::1", "localhost")
FILE = ".env"
YEAR_S = 365 * DAY_S  # longer times are mistakes, and soon more than dates can hold


class BadSetting(DevexError):
    """A setting that cannot be used; the message names its variable."""

    def __init__(self, message: str) -> None:
        super().__init__("setting", message, "Correct it in the environment or in .env.", status=500)


class Settings(BaseSettings):
    """Read from the environment (`DEVEX_…`), then from the file `.env`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=FILE, env_ignore_empty=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=1, le=65535, description="Port to listen on.")
    public_url: Origin = Field(
        default="",
        description="The address people type, such as `https://devex.example.com`; by default that of host and port.",
    )
    allowed_hosts: Hosts = Field(
        default=(), description="Further `host[:port]` names under which the application may be asked, comma-separated."
    )
    preview_domain: Domain = Field(
        default="localhost",
        description="Programs' ports are shown at `{port}-{slug}.` this domain (wildcard DNS). Use another registrable "
        "domain than the application's.",
    )
    trusted_proxies: Addresses = Field(
        default=(),
        description="Addresses or networks of the proxies in front, comma-separated: their `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed. Without it everybody behind a proxy counts as one address.",
    )
    allow_plain_http: bool = Field(
        default=False,
        description="Listen on a public address without https: passwords cross the network readable.",
    )
    data_dir: DataDir = Field(
        default=Path("data"), description="Where workspaces, the database and the secret are kept."
    )
    database_url: DatabaseUrl = Field(
        default=SecretStr(""),
        description="`postgres://user:password@host/name` or `sqlite:///path`; by default a file in `data_dir`.",
    )
    secret: LongSecret = Field(
        default=SecretStr(""),
        description="Signs cookies, and makes the keys of pods: all servers of a cluster need the same. At least 32 "
        "characters; by default one is made in `data_dir`.",
    )
    store: Store = Field(
        default="",
        description="Where versions are kept: `s3://bucket/prefix` or the absolute path of a folder; by default "
        "`store` in `data_dir`. See [operations.md](operations.md).",
    )
    s3_endpoint: Endpoint = Field(
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
    s3_ca_file: ExistingFile = Field(
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
    sizes: Sizes = Field(
        default={},
        description='Other sizes by template, as JSON: `{"java": {"memory_mib": 2048, "cpus": 2}}`; also `pids` and '
        "`disk_mib`. What one leaves out is as above. A REPL that runs has them from its next start.",
    )
    egress: Egress = Field(
        default=LIMITS.egress,
        description="What programs may connect to: `none`, `allowlist` or `public` addresses. Of pods the `allowlist` "
        "is kept by `devex egress-proxy`, which alone reads the next two.",
    )
    egress_allow: HostPatterns = Field(
        default=(),
        description="What the egress `allowlist` holds, comma-separated: `host`, `*.domain`, either with `:port`.",
    )
    egress_except: HostPorts = Field(
        default=(),
        description="`host:port` that programs may reach wherever it is, such as a package index of your network.",
    )
    egress_private: Networks = Field(
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
    kubeconfig: ExistingFile = Field(
        default="",
        description="File by which the cluster is reached from outside of it; by default the service account of the "
        "pod that DEVEX runs in.",
    )
    k8s_reach: Reach = Field(
        default="pod",
        description="How REPLs are reached: at the address of their `pod`, by `ingress` (see `k8s_ingress`), or "
        "through the `api` server, which works from anywhere and carries every byte.",
    )
    k8s_namespace: Namespace = Field(
        default="devex-repls", description="Namespace of the pods: of nothing else, and of one installation."
    )
    k8s_proxy_image: Image = Field(default="", description="Image of the proxy beside the programs.")
    k8s_image: Image = Field(
        default="", description="Image of the programs, for templates that `k8s_images` leaves out."
    )
    k8s_images: Images = Field(
        default={}, description='Images by template, as JSON: `{"go": "registry.example.com/devex-go:1"}`.'
    )
    k8s_warm: WarmPods = Field(
        default={},
        description='Pods kept ready by template, as JSON: `{"python": 2}`. A REPL that gets one is there at once. '
        "Not with `claim` as `k8s_storage`.",
    )
    k8s_pod: PodFields = Field(
        default={},
        description="What else a pod is to say, as JSON in Kubernetes's words: "
        f"{', '.join(f'`{name}`' for name in POD_FIELDS)}.",
    )
    k8s_storage: Storage = Field(
        default="emptyDir",
        description="Where a workspace lies while it runs: on its node (`emptyDir`), or on a volume of its own that "
        "stays (`claim`, or `claim:` and a storage class).",
    )
    k8s_network: PodNetwork = Field(
        default=Network(),
        description="For the NetworkPolicies, as JSON: who opens links (`gateway`) and answers names (`dns`), lists of "
        '`{"namespace": …, "labels": {…}}` or `{"cidr": …}`; where the `store` is, such with a `port`; the '
        "`allowlist_proxy`, such with a `port` and a `url`. By default DEVEX's pods in the namespace `devex` open "
        "links, and the cluster's DNS in `kube-system` answers names.",
    )
    k8s_ingress: PodIngress = Field(
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
