"""Where programs may connect to: pure decisions over names, addresses and time."""

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.domain import Egress

HOSTS_PER_WINDOW = 100  # different destinations: an `npm install` asks one, a port scan thousands
WINDOW_S = 10.0
BLOCKED_S = 60.0  # afterwards, so that a scan is not worth its while
MAIL_PORT = 25  # nobody develops by delivering mail; spam gets the machine's address banned

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NAME_CHARACTERS = 253
# `is_global` has changed between Python versions and leaves these to the caller.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/3"),
        *("64:ff9b:1::/48", "2001::/23", "2001:db8::/32", "fec0::/10", "ff00::/8"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Verdict(StrEnum):
    REFUSED = "refused"
    PUBLIC = "public"  # when every address of it is public
    ANYWHERE = "anywhere"  # an administrator's exception, whatever its addresses


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRules:
    """`allow`: what ALLOWLIST permits: `host`, `*.domain` or either with `:port`. `exceptions`: `host:port` that is
    always permitted and may be on the host or its network, such as an internal package index."""

    allow: tuple[str, ...] = ()
    exceptions: frozenset[str] = field(default_factory=frozenset)

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


def is_public(address: Address) -> bool:
    """Whether it leads to the Internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_public(inner)
    if any(address.version == network.version and address in network for network in _NEVER):
        return False
    return address.is_global and not address.is_multicast


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
