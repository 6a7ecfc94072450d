"""Which hosts and origins are ours, and who is behind a proxy. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.types import Scope

from app.settings import Settings
from runner.previews.hosts import PreviewDomain, header, unforwarded

Network = IPv4Network | IPv6Network

CLIENT_BITS = 64  # of an IPv6 address: what one subscriber is given, and can change the rest of at will
DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Addresses:
    """`hosts` and `origins` of the application; `previews` are on other hosts."""

    scheme: str
    hosts: frozenset[str]
    origins: frozenset[str]
    previews: PreviewDomain
    trusted_proxies: tuple[Network, ...]

    @classmethod
    def of(cls, settings: Settings) -> "Addresses":
        """What the settings make ours; the machine's own names always are."""
        parts = urlsplit(settings.origin)
        port = f":{parts.port}" if parts.port else ""
        hosts = {parts.netloc, *settings.allowed_hosts}
        origins = {f"{parts.scheme}://{host}" for host in hosts}
        local = {f"{name}:{settings.port}" for name in ("localhost", "127.0.0.1", "[::1]")}
        if settings.port == DEFAULT_PORTS["http"]:
            local |= {"localhost", "127.0.0.1", "[::1]"}
        domain = settings.preview_domain
        return cls(
            scheme=parts.scheme,
            hosts=frozenset(host.lower() for host in hosts | local),
            origins=frozenset(origin.lower() for origin in origins | {f"http://{host}" for host in local}),
            previews=PreviewDomain(parts.scheme, domain if ":" in domain else domain + port),
            trusted_proxies=tuple(map(ip_network, settings.trusted_proxies)),
        )


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What is limited as one client: an IPv4 address, or the network of an IPv6 address. Other texts are themselves."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), CLIENT_BITS), strict=False))


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """What is no address is in no network."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)


def behind_proxies(scope: Scope, trusted: Collection[Network]) -> Scope:
    """The scope with the browser's address and scheme where a trusted proxy tells them, without any forwarding
    or identity header: whatever a stranger sends in them means nothing.
    """
    headers = unforwarded(scope["headers"])
    peer = scope["client"][0] if scope.get("client") else ""
    changed = {**scope, "headers": headers}
    if not is_within(peer, trusted):
        return changed
    hops = [hop.strip() for hop in header(scope, b"x-forwarded-for").split(",") if hop.strip()]
    address = next((hop for hop in reversed(hops) if not is_within(hop, trusted)), peer)
    secure = header(scope, b"x-forwarded-proto") == "https"
    plain = "ws" if scope["type"] == "websocket" else "http"
    return {**changed, "client": (address, 0), "scheme": plain + ("s" if secure else "")}
