"""Where programs may go: decisions without a network."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.egress.proxy import parse
from orchestrator.backends.egress.rules import (
    BLOCKED_S,
    HOSTS_PER_WINDOW,
    WINDOW_S,
    EgressRules,
    Pace,
    Verdict,
    host_name,
    is_public,
)
from orchestrator.domain import Egress

NOT_PUBLIC = """\
127.0.0.1 127.8.8.8 0.0.0.0 10.0.0.1 10.96.0.1 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
100.100.100.200 192.0.0.192 192.88.99.1 198.18.0.1 224.0.0.1 240.0.0.1 255.255.255.255
:: ::1 fe80::1 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 2001::1 64:ff9b:1::1
::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe
2002:7f00:1:: 2002:a9fe:a9fe::
"""
PUBLIC = "1.1.1.1 8.8.8.8 93.184.215.14 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1"


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_private_addresses_stay_private_whatever_they_are_wrapped_in(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC.split())
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_what_the_operator_says_is_private_is_so_in_any_wrapping() -> None:
    theirs = (ipaddress.ip_network("8.8.8.0/24"), ipaddress.ip_network("2606:4700::/32"))
    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700::1111"):
        assert not is_public(ipaddress.ip_address(address), theirs)
    for address in ("1.1.1.1", "2a00:1450::1"):
        assert is_public(ipaddress.ip_address(address), theirs)


@given(st.ip_addresses(v=4))
def test_an_address_in_a_wrapping_is_judged_like_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for wrapped in ((0xFFFF << 32) | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80)):
        assert is_public(ipaddress.IPv6Address(wrapped)) == is_public(address)


@pytest.mark.parametrize(
    ("host", "port", "verdict"),
    [
        ("index.test", 443, Verdict.PUBLIC),
        ("index.test", 8443, Verdict.PUBLIC),
        ("files.example.org", 443, Verdict.PUBLIC),
        ("files.example.org", 80, Verdict.REFUSED),
        ("example.org", 443, Verdict.REFUSED),
        ("evilexample.org", 443, Verdict.REFUSED),
        ("index.test.evil.test", 443, Verdict.REFUSED),
        ("index.internal", 8080, Verdict.ANYWHERE),
        ("index.internal", 8081, Verdict.REFUSED),
        ("::1", 8080, Verdict.ANYWHERE),
        ("::1", 8081, Verdict.REFUSED),
    ],
)
def test_an_allow_list(host: str, port: int, verdict: Verdict) -> None:
    rules = EgressRules(
        allow=("index.test", "*.example.org:443"), exceptions=frozenset({"index.internal:8080", "[::1]:8080"})
    )
    assert rules.verdict(Egress.ALLOWLIST, host, port) is verdict
    assert rules.verdict(Egress.NONE, host, port) is Verdict.REFUSED


def test_nobody_delivers_mail() -> None:
    assert EgressRules().verdict(Egress.PUBLIC, "mail.example.org", 25) is Verdict.REFUSED


def test_a_scan_is_stopped_for_a_while_and_a_download_is_not() -> None:
    pace = Pace()
    assert all(pace.admits("index.test:443", now_s=n / 100) for n in range(1000))
    pace = Pace()
    assert all(pace.admits(f"host{n}:80", now_s=n / 100) for n in range(HOSTS_PER_WINDOW))
    assert not pace.admits("one-more:80", now_s=2)
    assert not pace.admits("host1:80", now_s=2 + BLOCKED_S - 1)
    assert pace.admits("host1:80", now_s=2 + BLOCKED_S + 1)


def test_slow_visits_to_many_hosts_are_no_scan() -> None:
    pace = Pace()
    step_s = WINDOW_S / (HOSTS_PER_WINDOW - 1)
    assert all(pace.admits(f"host{n}:80", now_s=n * step_s) for n in range(10 * HOSTS_PER_WINDOW))


def test_a_connect() -> None:
    request = parse(b"CONNECT Index.Test.:443 HTTP/1.1\r\nHost: index.test\r\n\r\n")
    assert (request.host, request.port, request.forward) == ("index.test", 443, None)
    assert parse(b"CONNECT [::1]:443 HTTP/1.1\r\n\r\n").host == "::1"


def test_a_plain_request_goes_on_without_what_was_meant_for_the_proxy() -> None:
    request = parse(
        b"POST http://example.org:8080/a/b?c=d HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Basic x\r\n"
        b"Connection: keep-alive\r\nContent-Length: 3\r\n\r\n"
    )
    assert (request.host, request.port) == ("example.org", 8080)
    assert request.forward == (
        b"POST /a/b?c=d HTTP/1.1\r\nHost: example.org:8080\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1",
        "GET https://example.org/ HTTP/1.1",
        "GET http:///x HTTP/1.1",
        "GET http://user@example.org/ HTTP/1.1",
        "GET ftp://example.org/ HTTP/1.1",
        "CONNECT example.org HTTP/1.1",
        "CONNECT example.org:0 HTTP/1.1",
        "CONNECT example.org:99999 HTTP/1.1",
        "CONNECT ex ample.org:443 HTTP/1.1",
        "CONNECT example.org:443 HTTP/2",
        "nonsense",
        "",
    ],
)
def test_what_is_no_request_for_a_proxy(line: str) -> None:
    with pytest.raises(ValueError):
        parse(f"{line}\r\n\r\n".encode())


@given(st.text(max_size=300))
def test_a_host_is_plain_or_refused(text: str) -> None:
    try:
        host = host_name(text)
    except ValueError:
        return
    assert host.isascii()
    assert not set(host) & set(" /@?#\r\n\0\\")


@given(st.binary(max_size=200))
def test_a_head_is_a_request_or_refused(head: bytes) -> None:
    try:
        request = parse(head + b"\r\n\r\n")
    except ValueError:
        return
    assert 0 < request.port < 65536
