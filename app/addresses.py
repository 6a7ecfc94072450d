"""Which hosts, origins and paths are ours, who is behind a proxy, and which port of which REPL a host shows. Pure.

Names are parsed and compared whole: a prefix or suffix of a host is another host.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from starlette.types import Scope

from app.settings import Settings

CLIENT_BITS = 64  # of an IPv6 address: what one subscriber is given, and can change the rest of at will
PORT_LEAST, PORT_MOST = 1024, 65535  # programs without privileges listen on no lower one
DEFAULT_PORTS = {"http": 80, "https": 443}

_PREVIEW = re.compile(r"([1-9][0-9]{3,4})-([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")
_FORWARDED = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip|x-devex-.*|x-remote-user|x-user")

Headers = list[tuple[bytes, bytes]]


class PreviewHost(NamedTuple):
    """What a host of the preview domain names."""

    port: int
    slug: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """`hosts` and `origins` of the application; `preview_authority` is the preview domain with its port."""

    scheme: str
    hosts: frozenset[str]
    origins: frozenset[str]
    preview_authority: str
    trusted_proxies: frozenset[str]

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
            preview_authority=domain if ":" in domain else domain + port,
            trusted_proxies=frozenset(settings.trusted_proxies),
        )

    def preview(self, host: str) -> PreviewHost | None:
        """What a Host header names on the preview domain."""
        label, _, authority = host.lower().partition(".")
        found = _PREVIEW.fullmatch(label)
        if found is None or authority != self.preview_authority:
            return None
        port = int(found[1])
        return PreviewHost(port, found[2]) if PORT_LEAST <= port <= PORT_MOST else None

    def preview_url(self, port: int | str, slug: str) -> str:
        """Without a slash at the end. `port` may be the text `{port}`, to make a pattern."""
        return f"{self.scheme}://{port}-{slug}.{self.preview_authority}"

    def preview_origin(self, origin: str) -> PreviewHost | None:
        """What an Origin header names on the preview domain."""
        scheme, separator, host = origin.partition("://")
        return self.preview(host) if separator and scheme == self.scheme else None

    @property
    def preview_cookies_are_secure(self) -> bool:
        """Browsers take *.localhost for secure even without TLS."""
        return self.scheme == "https" or self.preview_authority.partition(":")[0].endswith("localhost")


def header(scope: Scope, name: bytes) -> str:
    """The value of a header that may be sent once; two of them are as good as a wrong one."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


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


def behind_proxies(scope: Scope, trusted: Iterable[str]) -> Scope:
    """The scope with the browser's address and scheme where a trusted proxy tells them, without any forwarding
    or identity header: whatever a stranger sends in them means nothing.
    """
    headers: Headers = [(name, value) for name, value in scope["headers"] if not _FORWARDED.fullmatch(name)]
    peer = scope["client"][0] if scope.get("client") else ""
    trusted = set(trusted)
    changed = {**scope, "headers": headers}
    if peer not in trusted:
        return changed
    hops = [hop.strip() for hop in header(scope, b"x-forwarded-for").split(",") if hop.strip()]
    address = next((hop for hop in reversed(hops) if hop not in trusted), peer)
    secure = header(scope, b"x-forwarded-proto") == "https"
    plain = "ws" if scope["type"] == "websocket" else "http"
    return {**changed, "client": (address, 0), "scheme": plain + ("s" if secure else "")}


def local_path(target: str) -> str:
    """`target` if it is a path of this application, else "/": nobody is led elsewhere after signing in."""
    plain = all(" " < character < "\x7f" and character != "\\" for character in target)
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"
