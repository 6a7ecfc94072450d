from errno import EACCES
from pathlib import Path

import pytest

from app import cluster, config_page, store
from app.configuration import read
from app.settings import BadSetting, Settings
from orchestrator.backends.kubernetes.cluster import Cluster, Destination, Ingress, Network, Peer, VolumeClaim, Warm
from orchestrator.backends.kubernetes.manifests import GRACE_S
from orchestrator.domain import Egress
from orchestrator.spec import sandbox_spec
from runner.previews.hosts import PreviewDomain
from tests.contracts.records import make_repl

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_says_what_the_code_does() -> None:
    assert PAGE.read_text() == config_page.page(), "run: python -m app.cli config-doc > docs/configuration.md"


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DEVEX_{name.upper()}", raising=False)


def test_none_is_needed() -> None:
    chosen = read()
    assert (chosen.origin, chosen.https, chosen.preview_domain) == ("http://127.0.0.1:8080", False, "localhost")
    assert chosen.limits.egress is Egress.PUBLIC


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEVEX_PORT=9000\nDEVEX_MEMORY_MIB=128\nOTHER=1\n")
    monkeypatch.setenv("DEVEX_PORT", "9001")
    monkeypatch.setenv("DEVEX_EGRESS_ALLOW", "example.com, *.example.org")
    monkeypatch.setenv("DEVEX_SECRET", "")
    chosen = read()
    assert (chosen.port, chosen.limits.size.memory_bytes) == (9001, 128 << 20)
    assert chosen.egress_allow == ("example.com", "*.example.org")


def test_a_template_has_what_its_own_size_leaves_out_as_all_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVEX_CPUS", "1.5")
    monkeypatch.setenv("DEVEX_SIZES", '{"java": {"memory_mib": 2048, "disk_mib": 512}, "c": {"cpus": 2, "pids": 64}}')
    limits = read().limits
    java, c, other = (limits.size_of(template) for template in ("java", "c", "python"))
    assert other == limits.size
    assert (java.memory_bytes, java.disk_bytes, java.cpus, java.pids) == (2048 << 20, 512 << 20, 1.5, other.pids)
    assert (c.memory_bytes, c.disk_bytes, c.cpus, c.pids) == (other.memory_bytes, other.disk_bytes, 2, 64)
    assert sandbox_spec(make_repl(template="java"), None, limits, {}).size == java


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PUBLIC_URL", "devex.example.com"),
        ("PUBLIC_URL", "https://devex.example.com/path"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("PREVIEW_DOMAIN", "*.example.com"),
        ("PREVIEW_DOMAIN", "https://example.com"),
        ("PREVIEW_DOMAIN", "preview..example.com"),
        ("PREVIEW_DOMAIN", ":8080"),
        ("PREVIEW_DOMAIN", "10.0.0.2"),
        ("PREVIEW_DOMAIN", "[::1]:8080"),
        ("PUBLIC_URL", "http://devex.example.com:65536"),
        ("ALLOWED_HOSTS", "devex.example.com:70000"),
        ("DATA_DIR", "what?"),
        ("SIGN_UP", "everyone"),
        ("PUBLIC_URL", "http://devex.example.com:http"),
        ("PUBLIC_URL", "https://user@devex.example.com"),
        ("DATABASE_URL", "mysql://host/name"),
        ("DATABASE_URL", "devex.sqlite3"),
        ("ALLOWED_HOSTS", "devex.example.com, http://devex.example.com"),
        ("EGRESS_ALLOW", "https://packages.example.org/simple"),
        ("EGRESS_ALLOW", "pypi.*"),
        ("EGRESS_EXCEPT", "pypi.example.com"),
        ("EGRESS_EXCEPT", "10.0.0.0/8:443"),
        ("EGRESS_EXCEPT", "pypi.example.com:99999"),
        ("EGRESS_PRIVATE", "2001:db8::1/32"),
        ("EGRESS_PRIVATE", "2000::/3"),
        ("TRUSTED_PROXIES", "10.0.0.2/8"),
        ("TRUSTED_PROXIES", "10.0.0.2, proxy.example.org"),
        ("SECRET", "short"),
        ("STORE", "a/relative/folder"),
        ("STORE", "s3://"),
        ("STORE", "s3://b/devex"),
        ("STORE", "s3://bucket//devex"),
        ("STORE", "https://minio.example.com/bucket"),
        ("S3_ENDPOINT", "minio.example.com:9000"),
        ("S3_ENDPOINT", "https://minio.example.com/bucket"),
        ("S3_CA_FILE", "/nothing/ca.pem"),
        ("S3_SSE", "yes"),
        ("S3_ADDRESSING", "host"),
        ("AUTOSAVE_S", "0"),
        ("EGRESS", "all"),
        ("CPUS", "0"),
        ("CPUS", "0.001"),
        ("CPUS", "nan"),
        ("CPUS", "inf"),
        ("CPUS", "1e9"),
        ("MEMORY_MIB", "1" + "0" * 30),
        ("TRASH_DAYS", "1" + "0" * 30),
        ("IDLE_STOP_S", "soon"),
        ("BACKEND", "docker"),
        ("KUBECONFIG", "/nothing/config"),
        ("K8S_REACH", "node"),
        ("K8S_NAMESPACE", "Devex_Repls"),
        ("K8S_PROXY_IMAGE", "not an image"),
        ("K8S_IMAGES", "go=devex-go:1"),
        ("K8S_IMAGES", '{"go": "not an image"}'),
        ("SIZES", "large"),
        ("SIZES", '{"cobol": {"cpus": 1}}'),
        ("SIZES", '{"java": {"memory_gib": 2}}'),
        ("SIZES", '{"java": {"memory_mib": 1}}'),
        ("SIZES", '{"java": 2048}'),
        ("K8S_WARM", '{"cobol": 1}'),
        ("K8S_WARM", '{"python": -1}'),
        ("K8S_WARM", '{"python": "some"}'),
        ("K8S_WARM", '{"python": 60, "go": 60}'),
        ("K8S_POD", '{"hostNetwork": true}'),
        ("K8S_POD", '{"tolerations": "all"}'),
        ("K8S_STORAGE", "hostPath"),
        ("K8S_NETWORK", '{"gatewey": []}'),
        ("K8S_NETWORK", '{"gateway": [{}]}'),
        ("K8S_NETWORK", '{"store": [{"cidr": "10.0.0.5/33", "port": 9000}]}'),
        ("K8S_NETWORK", '{"store": [{"cidr": "10.0.0.5/32"}]}'),
        ("K8S_NETWORK", '{"allowlist_proxy": {"labels": {"a": "b"}, "port": 3128, "url": "http://proxy:3128"}}'),
        ("K8S_INGRESS", '{"class_name": "nginx"}'),
        ("K8S_INGRESS", '{"class_name": "nginx", "controller": {"namespace": "i"}, "link_url": "wss://links.test"}'),
    ],
)
def test_a_bad_setting_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"DEVEX_{name}", value)
    with pytest.raises(BadSetting) as refusal:
        read()
    assert f"DEVEX_{name} cannot be used: " in refusal.value.message
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("PORT", "http", "it must be a whole number"),
        ("PORT", "1" * 5000, "it must be a whole number"),
        ("PORT", "65536", "it must be at most 65535"),
        ("MEMORY_MIB", "9" * 18, "it must be at most 1073741824"),
        ("CPUS", "two", "it must be a number"),
        ("CPUS", "0", "it must be at least 0.01"),
        ("CPUS", "1e9", "it must be at most 8192"),
        ("ACCESS_LOG", "perhaps", "it must be true or false"),
        ("SIGN_UP", "everyone", "it must be 'open', 'invite' or 'closed'"),
        ("EGRESS", "all", "it must be 'none', 'allowlist' or 'public'"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(f"DEVEX_{name}", value)
    with pytest.raises(BadSetting) as refusal:
        read()
    assert refusal.value.message == f"DEVEX_{name} cannot be used: {reason}."


@pytest.mark.parametrize("where", ["environment", "file"])
@pytest.mark.parametrize(("name", "meant"), [("SIGNUP", "SIGN_UP"), ("EGRES", "EGRESS"), ("DB_URL", "DATABASE_URL")])
def test_a_misspelt_setting_is_not_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str, name: str, meant: str
) -> None:
    if where == "file":
        (tmp_path / ".env").write_text(f"DEVEX_{name}=closed\n")
    else:
        monkeypatch.setenv(f"DEVEX_{name}", "closed")
    with pytest.raises(BadSetting, match=f"DEVEX_{name} is no setting: DEVEX_{meant} is one."):
        read()


def test_what_others_call_after_us_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVEX_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("DEVEX_REPL_ID", "abc")
    assert read().port == 8080


def test_a_file_that_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"DEVEX_PORT=\xff\n")
    with pytest.raises(BadSetting, match=r"The file \.env cannot be read: it must be UTF-8 text\."):
        read()


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise PermissionError(EACCES, "Permission denied")

    (tmp_path / ".env").touch()
    monkeypatch.setattr(Path, "open", refuses)  # root may read any file
    with pytest.raises(BadSetting, match=r"The file \.env cannot be read: permission denied\."):
        read()


@pytest.mark.parametrize("bad", ["DEVEX_SIGN_UP closed", "DEVEX_SECRET='not closed", "= 5"])
def test_a_line_that_cannot_be_read_is_not_ignored(tmp_path: Path, bad: str) -> None:
    (tmp_path / ".env").write_text(f"# ours\nexport DEVEX_PORT=9000\n\n\n{bad}\nOTHER=1\n")
    with pytest.raises(BadSetting, match=r"Line 5 of the file \.env cannot be read: it must look like NAME=value\."):
        read()


def test_hosts_are_written_as_they_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVEX_EGRESS_EXCEPT", "PyPI.example.com:443 [::1]:80")
    monkeypatch.setenv("DEVEX_ALLOWED_HOSTS", "Devex:65535,10.0.0.2")
    monkeypatch.setenv("DEVEX_PREVIEW_DOMAIN", "Preview.2nd.example.com:6553")
    chosen = read()
    assert chosen.preview_domain == "preview.2nd.example.com:6553"
    assert chosen.egress_except == ("pypi.example.com:443", "[::1]:80")
    assert chosen.allowed_hosts == ("devex:65535", "10.0.0.2")


def test_a_public_address_needs_https(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVEX_HOST", "0.0.0.0")
    with pytest.raises(BadSetting, match="DEVEX_HOST is a public address"):
        read()
    monkeypatch.setenv("DEVEX_PUBLIC_URL", "https://Devex.example.com/")
    assert read().origin == "https://devex.example.com"
    monkeypatch.setenv("DEVEX_PUBLIC_URL", "http://devex.example.com")
    with pytest.raises(BadSetting):
        read()
    monkeypatch.setenv("DEVEX_ALLOW_PLAIN_HTTP", "true")
    assert read().https is False


@pytest.mark.parametrize("name", ["S3_ACCESS_KEY", "S3_SECRET_KEY"])
def test_one_key_without_the_other_is_a_mistake(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"DEVEX_{name}", "only-one-of-the-two")
    with pytest.raises(BadSetting, match="DEVEX_S3_ACCESS_KEY and DEVEX_S3_SECRET_KEY are set both") as refusal:
        read()
    assert "only-one-of-the-two" not in refusal.value.message


def test_a_key_to_encrypt_with_needs_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVEX_S3_SSE_KEY", "a-key")
    with pytest.raises(BadSetting, match="DEVEX_S3_SSE_KEY is for DEVEX_S3_SSE=aws:kms"):
        read()
    monkeypatch.setenv("DEVEX_S3_SSE", "aws:kms")
    assert store.chosen(read()) == {"directory": f"{Path.cwd()}/data/store", "must_exist": False}


def test_what_a_store_is_made_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    for name, value in {
        "STORE": "s3://versions/teams/devex/",
        "S3_ENDPOINT": "https://Minio.example.com:9000/",
        "S3_ACCESS_KEY": "somebody",
        "S3_SECRET_KEY": "knows",
        "S3_CA_FILE": "ca.pem",
        "S3_SSE": "AES256",
    }.items():
        monkeypatch.setenv(f"DEVEX_{name}", value)
    chosen = read()
    assert "knows" not in repr(chosen)
    assert store.chosen(chosen)["s3"] == {
        "bucket": "versions",
        "prefix": "teams/devex/",
        "region": "us-east-1",
        "endpoint_url": "https://minio.example.com:9000",
        "addressing": "path",
        "ca_file": str(tmp_path / "ca.pem"),
        "access_key": "somebody",
        "secret_key": "knows",
        "encryption": "AES256",
        "encryption_key_id": None,
    }
    assert store.other(chosen, "/srv/versions") == {"directory": "/srv/versions", "must_exist": False}
    monkeypatch.setenv("DEVEX_STORE", "/srv/versions")
    assert store.chosen(read()) == {"directory": "/srv/versions", "must_exist": True}
    with pytest.raises(BadSetting, match="“srv” is no store: it must look like s3://bucket/prefix"):
        store.other(chosen, "srv")


def of_a_cluster(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    given = {
        "BACKEND": "kubernetes",
        "STORE": "s3://versions",
        "K8S_PROXY_IMAGE": "proxy:1",
        "K8S_IMAGE": "all:1",
        "DATABASE_URL": "postgres://devex@db/devex",
        "SECRET": "s" * 32,
    }
    for name, value in (given | changes).items():
        monkeypatch.setenv(f"DEVEX_{name}", value)


def test_a_pod_has_time_to_start_and_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_machine = read().limits
    of_a_cluster(monkeypatch)
    assert read().limits.start_deadline_s > on_a_machine.start_deadline_s
    assert read().limits.stop_deadline_s > GRACE_S


def test_what_a_cluster_is_made_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----")
    of_a_cluster(
        monkeypatch,
        S3_CA_FILE="ca.pem",
        PREVIEW_DOMAIN="preview.example.net:8443",
        K8S_IMAGES='{"go": "go:1"}',
        K8S_POD='{"runtimeClassName": "gvisor", "hostUsers": false}',
        K8S_STORAGE="claim:fast",
        K8S_NETWORK='{"gateway": [{"cidr": "203.0.113.7/32"}], "store": [{"labels": {"app": "minio"}, "port": 9000}]}',
        K8S_INGRESS='{"class_name": "nginx", "controller": {"namespace": "ingress"}, "preview_ports": [3000]}',
        K8S_REACH="api",
    )
    assert cluster.chosen(read()) == Cluster(
        namespace="devex-repls",
        proxy_image="proxy:1",
        image="all:1",
        images={"go": "go:1"},
        pod={"runtimeClassName": "gvisor", "hostUsers": False},
        claim=VolumeClaim(storage_class="fast"),
        warm=Warm(size=read().limits.size, egress=read().limits.egress),
        network=Network(
            gateway=(Peer(cidr="203.0.113.7/32"),), store=(Destination(labels={"app": "minio"}, port=9000),)
        ),
        ingress=Ingress(class_name="nginx", controller=Peer(namespace="ingress"), preview_ports=(3000,)),
        previews=PreviewDomain("http", "preview.example.net:8443"),
        origin="http://127.0.0.1:8080",
        through_api=True,
        store_ca="-----BEGIN CERTIFICATE-----",
    )


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("STORE", "/srv/versions", "DEVEX_BACKEND=kubernetes needs DEVEX_STORE=s3://bucket/prefix"),
        ("K8S_IMAGE", "", "DEVEX_BACKEND=kubernetes needs DEVEX_K8S_PROXY_IMAGE and DEVEX_K8S_IMAGE"),
        ("DATABASE_URL", "", r"DEVEX_BACKEND=kubernetes needs DEVEX_DATABASE_URL \(PostgreSQL\) and DEVEX_SECRET"),
        ("SECRET", "", r"DEVEX_BACKEND=kubernetes needs DEVEX_DATABASE_URL \(PostgreSQL\) and DEVEX_SECRET"),
        ("K8S_REACH", "ingress", "DEVEX_K8S_REACH=ingress needs a link_url in DEVEX_K8S_INGRESS"),
        ("EGRESS", "allowlist", "DEVEX_EGRESS=allowlist needs an allowlist_proxy in DEVEX_K8S_NETWORK"),
        ("K8S_STORAGE", "claim", "DEVEX_K8S_WARM is for DEVEX_K8S_STORAGE=emptyDir"),
    ],
)
def test_what_pods_need_is_said(monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str) -> None:
    of_a_cluster(monkeypatch, **{"K8S_WARM": '{"python": 1}', name: value})
    with pytest.raises(BadSetting, match=why):
        read()


STORE = '{"store": [{"cidr": "10.0.0.5/32", "port": 9000}]}'


@pytest.mark.parametrize(
    ("endpoint", "egress", "network", "said"),
    [
        ("", "public", "{}", ""),
        ("https://s3.example.com", "public", "{}", ""),
        ("http://minio.devex.svc:9000", "public", "{}", "do not let pods reach minio.devex.svc"),
        ("http://10.0.0.5:9000", "public", "{}", "do not let pods reach 10.0.0.5"),
        ("http://minio.devex.svc:9000", "public", STORE, ""),
        ("https://s3.example.com", "none", "{}", "do not let pods reach s3.example.com"),
        ("https://s3.example.com", "none", STORE, "do not let pods look up s3.example.com"),
        ("http://10.0.0.5:9000", "none", STORE, ""),
    ],
)
def test_what_keeps_pods_from_the_store_is_told(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, egress: str, network: str, said: str
) -> None:
    of_a_cluster(monkeypatch, S3_ENDPOINT=endpoint, EGRESS=egress, K8S_NETWORK=network)
    told = " ".join(check.detail for check in cluster.way_to_store(read()))
    assert said in told
    assert bool(said) is bool(told)
