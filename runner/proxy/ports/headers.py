"""What passes between a browser and a program behind a port, and what belongs to DEVEX and stays here. Pure.

The program is the user's, the browser carries the platform's cookies: neither may see or set the other's.
"""

import re
from collections.abc import Iterable
from typing import Final

Headers = list[tuple[bytes, bytes]]

MAX_HEADERS: Final = 200
HEAD_BYTES: Final = 64 * 1024  # of an answer, before it is refused

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
     b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings")
)  # fmt: skip
# As cookies and tokens of the platform begin.
_OURS: Final = re.compile(rb"(?:__(?:host|secure)-)?devex", re.IGNORECASE)
_WEBSOCKET: Final = re.compile(rb"sec-websocket-(?!protocol)", re.IGNORECASE)
# A program must not speak for more than its own page: these reach other hosts, or outlast the program.
_KEPT_FROM_BROWSER: Final = frozenset(
    (b"strict-transport-security", b"clear-site-data", b"alt-svc", b"service-worker-allowed", b"public-key-pins")
)
_DOMAIN: Final = re.compile(rb";\s*domain\s*=[^;]*", re.IGNORECASE)


def to_program(headers: Iterable[tuple[bytes, bytes]], port: int, scheme: str) -> Headers:
    """Of a request. The program believes to be asked at localhost; X-Forwarded-* say what the browser asked for."""
    given = [(name.lower(), value) for name, value in headers][:MAX_HEADERS]
    host = dict(given).get(b"host", b"")
    local = b"localhost:%d" % port
    dropped = _HOP_BY_HOP | _listed(given)
    kept: Headers = [(b"host", local)]
    for name, value in given:
        if name in dropped or name == b"host" or _is_ours(name) or _WEBSOCKET.match(name):
            continue
        if name == b"cookie":
            if own := _own_cookies(value):
                kept.append((name, own))
        elif name in (b"origin", b"referer"):
            if b"/__devex/" not in value:  # how one got in
                kept.append((name, _localized(value, host, local)))
        elif name != b"authorization" or not _OURS.match(value.rpartition(b" ")[2]):
            kept.append((name, value))
    names = {name for name, _ in kept}
    if b"x-forwarded-host" not in names and host:
        kept.append((b"x-forwarded-host", host))
    if b"x-forwarded-proto" not in names:
        kept.append((b"x-forwarded-proto", {"ws": "http", "wss": "https"}.get(scheme, scheme).encode()))
    return kept


def to_browser(headers: Iterable[tuple[bytes, bytes]], port: int) -> Headers:
    """Of an answer."""
    given = [(bytes(name).lower(), bytes(value)) for name, value in headers][:MAX_HEADERS]
    dropped = _HOP_BY_HOP | _KEPT_FROM_BROWSER | _listed(given)
    kept: Headers = []
    for name, value in given:
        if name in dropped or _is_ours(name) or name.startswith(b"sec-websocket-"):
            continue
        if name == b"set-cookie":
            if not _OURS.match(value.lstrip(b"= \t")):  # a cookie without a name may look like one of ours
                kept.append((name, _DOMAIN.sub(b"", value)))
        elif name in (b"location", b"content-location"):
            kept.append((name, _relative(value, port)))
        else:
            kept.append((name, value))
    return kept


def _listed(headers: Headers) -> set[bytes]:
    """What a Connection header names belongs to that connection only."""
    return {one.strip().lower() for name, value in headers if name == b"connection" for one in value.split(b",")}


def _is_ours(name: bytes) -> bool:
    return name.startswith(b"x-devex-")


def _own_cookies(value: bytes) -> bytes:
    cookies = [one.strip() for one in value.split(b";")]
    return b"; ".join(one for one in cookies if one and not _OURS.match(one.lstrip(b"= \t")))


def _localized(value: bytes, host: bytes, local: bytes) -> bytes:
    """A development server compares these with Host."""
    _, separator, rest = value.partition(b"://")
    place, slash, path = rest.partition(b"/")
    if separator and host and place.lower() == host.lower():
        return b"http://" + local + slash + path
    return value


def _relative(value: bytes, port: int) -> bytes:
    """A redirect to itself must not lead the browser to the browser's own localhost."""
    found = re.match(rb"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):%d(?=[/?#]|$)" % port, value)
    if not found:
        return value
    rest = value[found.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest
