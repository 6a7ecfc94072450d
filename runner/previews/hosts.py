"""`{port}-{slug}.{preview domain}`: which port of which REPL a host shows. Pure.

Names are parsed and compared whole: a prefix or suffix of a host is another host.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from starlette.types import Scope

PORT_LEAST: Final = 1024  # programs without privileges listen on no lower one
PORT_MOST: Final = 65535
COOKIE: Final = "devex_preview"  # runner/proxy/ports/headers.py keeps whatever begins with "devex" from programs

_LABEL = re.compile(r"([1-9][0-9]{3,4})-([a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?)")
_FORWARDED = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip|x-devex-.*|x-remote-user|x-user")

Headers = list[tuple[bytes, bytes]]


class PreviewHost(NamedTuple):
    """What a host of the preview domain names."""

    port: int
    slug: str


@dataclass(frozen=True, slots=True)
class PreviewDomain:
    """`scheme` is what browsers use, `authority` the domain, with its port where it is not the scheme's own."""

    scheme: str
    authority: str

    def parse(self, host: str) -> PreviewHost | None:
        """What a Host header names here."""
        label, _, authority = host.lower().partition(".")
        found = _LABEL.fullmatch(label)
        if found is None or authority != self.authority:
            return None
        port = int(found[1])
        return PreviewHost(port, found[2]) if PORT_LEAST <= port <= PORT_MOST else None

    def parse_origin(self, origin: str) -> PreviewHost | None:
        """What an Origin header names here."""
        scheme, separator, host = origin.partition("://")
        return self.parse(host) if separator and scheme == self.scheme else None

    def url(self, port: int | str, slug: str) -> str:
        """Without a slash at the end. `port` may be the text `{port}`, to make a pattern."""
        return f"{self.scheme}://{port}-{slug}.{self.authority}"

    @property
    def cookies_are_secure(self) -> bool:
        """Browsers take *.localhost for secure even without TLS."""
        return self.scheme == "https" or self.authority.partition(":")[0].endswith("localhost")

    @property
    def cookie(self) -> str:
        """Its name: over https no other host can set one of this name."""
        return f"__Host-{COOKIE}" if self.scheme == "https" else COOKIE


def header(scope: Scope, name: bytes) -> str:
    """The value of a header that may be sent once; two of them are as good as a wrong one."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def unforwarded(headers: Headers) -> Headers:
    """Without what says who asks, and from where: whatever a stranger sends in it means nothing."""
    return [(name, value) for name, value in headers if not _FORWARDED.fullmatch(name)]


def local_path(target: str) -> str:
    """`target` if it is a path of the same host, else "/": nobody is led elsewhere."""
    plain = all(" " < character < "\x7f" and character != "\\" for character in target)
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"
