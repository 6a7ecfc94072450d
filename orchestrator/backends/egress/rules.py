"""Where programs may connect to: pure decisions over names, addresses and time."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain import Egress

HOSTS_PER_WINDOW = 100  # different destinations: an `npm install` asks one, a port scan thousands
WINDOW_S = 10.0
BLOCKED_S = 60.0  # afterwards, so that a scan is not worth its while
MAIL_PORT = 25  # nobody develops by delivering mail; spam gets the machine's address banned

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What is the public Internet, and of that what is not: RFC 6890's special ranges, clouds' metadata services among them,
# and what carries IPv4 within IPv6 (6to4, Teredo). Python's `is_global` has changed between its versions.
PUBLIC_IPV4 = ipaddress.ip_network("0.0.0.0/0")
PUBLIC_IPV6 = ipaddress.ip_network("2000::/3")  # global unicast; all else is private, local, mapped or translated
PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NAME_CHARACTERS = 253
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Verdict(StrEnum):
    REFUSED = "refused"
    PUBLIC = "public"  # when every address of it is public
    ANYWHERE = "anywhere"  # an administrator's exception, whatever its addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """`allow`: what ALLOWLIST permits: `host`, `*.domain` or either with `:port`. `exceptions`: `host:port` that is
    always permitted and may be on the host or its network, such as an internal package index. `private`: what else is
    no public address, such as global ones of the operator's own network."""

    allow: tuple[str, ...] = ()
    exceptions: frozenset[str] = field(default_factory=frozenset)
    private: tuple[Network, ...] = ()

    def verdict(self, egress: Egress, host: str, port: int) -> Verdict:
        """`host` as `host_name` gives it."""
        if egress is Egress.NONE:
            return Verdict.REFUSED
        if (f"[{host}]:{port}" if ":" in host else f"{host}:{port}") in self.exceptions:
            return Verdict.ANYWHERE
        if egress is Egress.ALLOWLIST and not any(_matches(pattern, host, port) for pattern in self.allow):
            return Verdict.REFUSED
        return Verdict.REFUSED if port == MAIL_PORT else Verdict.PUBLIC


def _matches(pattern: str, host: str, port: int) -> bool:
    wanted, colon, wanted_port = pattern.lower().rpartition(":")
    if not colon or not wanted_port.isdigit():
        wanted, wanted_port = pattern.lower(), str(port)
    if wanted_port != str(port):
        return False
    return host.endswith(wanted[1:]) if wanted.startswith("*.") else host == wanted


def host_name(text: str) -> str:
    """A name or an address in one spelling. Raises ValueError: it is neither."""
    host = text.lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1]))
    if len(host) > _NAME_CHARACTERS or not _NAME.fullmatch(host):
        raise ValueError(f"{text[:100]!r} is no host")
    return host


def is_public(address: Address, private: Sequence[Network] = ()) -> bool:
    """Whether it leads to the Internet, whatever it is wrapped in, and to nothing that is `private` as well."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_public(inner, private)
    block = PUBLIC_IPV4 if address.version == 4 else PUBLIC_IPV6
    return address in block and not any(address in hole for hole in holes_of(block, private))


def holes_of(block: Network, private: Sequence[Network] = ()) -> list[Network]:
    """What of `block`, one of the public ones, is not public."""
    return [one for one in (*PRIVATE, *private) if one.version == block.version and one.subnet_of(block)]  # type: ignore[arg-type]


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


@dataclass(slots=True)
class Pace:
    """How many different destinations one sandbox asks for. Bounded by HOSTS_PER_WINDOW entries."""

    _seen: dict[str, float] = field(default_factory=dict)  # destination -> when last, oldest first
    _blocked_until: float = float("-inf")

    def admits(self, destination: str, now_s: float) -> bool:
        if now_s < self._blocked_until:
            return False
        self._seen.pop(destination, None)
        while self._seen and next(iter(self._seen.values())) < now_s - WINDOW_S:
            del self._seen[next(iter(self._seen))]
        if len(self._seen) >= HOSTS_PER_WINDOW:
            self._blocked_until = now_s + BLOCKED_S
            self._seen.clear()
            return False
        self._seen[destination] = now_s
        return True
