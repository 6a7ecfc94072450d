"""The tokens of scripts: `Authorization: Bearer …`. No browser sends one by itself, so no page can have it sent."""

from collections.abc import Iterable


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """What a request says it bears; None when it bears nothing (a proxy in front may use another scheme), "" when that
    cannot be told. Whoever bears something is nobody else: the cookie does not count.
    """
    found = [value.strip() for name, value in headers if name.lower() == b"authorization"]
    given = [one for one in found if one[:7].lower() in (b"bearer", b"bearer ")]
    if not given:
        return None
    return given[0][7:].strip().decode("latin-1") if len(found) == 1 else ""
