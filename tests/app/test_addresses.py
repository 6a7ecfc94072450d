"""Look-alikes: of hosts, of origins, of paths."""

from ipaddress import ip_network
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.addresses import Addresses, behind_proxies, network_of
from app.settings import Settings
from runner.previews.hosts import PreviewHost, local_path


def addresses(**settings: object) -> Addresses:
    return Addresses.of(Settings(_env_file=None, **settings))  # type: ignore[call-arg, arg-type]


OURS = addresses(public_url="https://devex.example.com", preview_domain="devex-preview.net", host="0.0.0.0")


def test_preview_hosts_are_parsed_whole() -> None:
    assert OURS.previews.parse("5000-my-app-abcdefgh.devex-preview.net") == PreviewHost(5000, "my-app-abcdefgh")
    assert OURS.previews.parse("5000-A.Devex-Preview.NET") == PreviewHost(5000, "a")
    assert OURS.previews.url(5000, "a") == "https://5000-a.devex-preview.net"
    assert OURS.previews.parse_origin("https://5000-a.devex-preview.net") == PreviewHost(5000, "a")
    local = addresses()
    assert local.previews.parse("5000-a.localhost:8080") == PreviewHost(5000, "a")
    assert local.previews.url("{port}", "a") == "http://{port}-a.localhost:8080"


LOOKALIKES = [
    "5000-a.evil.net",
    "5000-a.devex-preview.net.evil.net",
    "5000-a.evil-devex-preview.net",
    "devex-preview.net",
    "5000-a.devex-preview.net:444",
    "5000-a.devex-preview.net.",
    "a.5000-a.devex-preview.net",
    "5000-.devex-preview.net",
    "80-a.devex-preview.net",
    "1023-a.devex-preview.net",
    "65536-a.devex-preview.net",
    "05000-a.devex-preview.net",
    "5000_a.devex-preview.net",
    "-5000-a.devex-preview.net",
    "5000-a_b.devex-preview.net",
    "5000-a-.devex-preview.net",
    "5000--a.devex-preview.net",
    "٥000-a.devex-preview.net",
    "5000-é.devex-preview.net",
    "5000-a@devex-preview.net",
    "5000-a.devex-preview.net/",
    ",",
    ",",
    ",",
    ",",
    ",",
]


@pytest.mark.parametrize(
    "host",
    [*LOOKALIKES, "5000-a.devex-preview.net\n", " 5000-a.devex-preview.net", "", f"5000-{'a' * 41}.devex-preview.net"],
)
def test_lookalikes_are_no_previews(host: str) -> None:
    assert OURS.previews.parse(host) is None


@pytest.mark.parametrize(
    "origin",
    [
        *("http://5000-a.devex-preview.net", "5000-a.devex-preview.net", "https:5000-a.devex-preview.net", "null", ""),
        *("https://5000-a.devex-preview.net/", "https://x@5000-a.devex-preview.net", "https://https://5000-a.localhost"),
    ],
)  # fmt: skip
def test_lookalikes_are_no_preview_origins(origin: str) -> None:
    assert OURS.previews.parse_origin(origin) is None


def test_origins_are_exact() -> None:
    assert "https://devex.example.com" in OURS.origins
    assert "http://devex.example.com" not in OURS.origins
    more = addresses(allowed_hosts="box.lan:8080")
    assert {"box.lan:8080", "localhost:8080", "[::1]:8080"} <= more.hosts
    assert "http://box.lan:8080" in more.origins


@given(st.text() | st.text(alphabet="/\\\t\n evil.tst:@?#%0a"))
def test_nobody_is_led_elsewhere(target: str) -> None:
    path = local_path(target)
    # Browsers drop tabs and line ends, and take a backslash for a slash, before they look for a host.
    seen = path.translate({ord(drop): None for drop in "\t\r\n"}).strip().replace("\\", "/")
    assert urlsplit(urljoin("https://devex.example.com/sign-in", seen)).netloc == "devex.example.com"
    assert path.startswith("/")


@pytest.mark.parametrize("path", ["/", "/repl/abc", "/repl/abc?file=a%20b#L3"])
def test_our_own_paths_are_kept(path: str) -> None:
    assert local_path(path) == path


def scope(peer: str, **headers: str) -> dict[str, object]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "client": (peer, 1), "headers": sent}


def test_only_trusted_proxies_are_believed() -> None:
    told = {
        "x_forwarded_for": "1.1.1.1, 2.2.2.2",
        "x_forwarded_proto": "https",
        "x_forwarded_user": "root",
        "host": "a",
    }
    stranger = behind_proxies(scope("9.9.9.9", **told), [ip_network("10.0.0.1")])
    assert stranger["client"] == ("9.9.9.9", 1)
    assert stranger["scheme"] == "http"
    proxied = behind_proxies(scope("10.0.0.1", **told), [ip_network("10.0.0.1")])
    assert proxied["client"] == ("2.2.2.2", 0)  # what the proxy saw, not what it was told
    assert proxied["scheme"] == "https"
    chain = behind_proxies(scope("10.0.0.1", x_forwarded_for="3.3.3.3, 10.0.0.2"), [ip_network("10.0.0.0/30")])
    assert chain["client"] == ("3.3.3.3", 0)
    made_up = behind_proxies(scope("10.0.0.1", x_forwarded_for="10.0.0.9, nobody"), [ip_network("10.0.0.0/24")])
    assert made_up["client"] == ("nobody", 0)
    for seen in (stranger, proxied):
        assert [name for name, _ in seen["headers"]] == [b"host"]


def test_an_ipv6_network_is_one_client() -> None:
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2") != network_of("2001:db8:0:1::1")
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") != network_of("192.0.2.2")
    assert network_of("::1") == "::/64"
    assert network_of("") == ""
    assert network_of("unix") == "unix"
