"""Cookies as they are written and read."""

from collections.abc import Iterable


def values_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> list[str]:
    """Every value that came under this name, each once. `headers` as in an ASGI scope."""
    lines = (value.decode("latin-1") for key, value in headers if key == b"cookie")
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    return list(dict.fromkeys(value.strip() for key, _, value in pairs if key.strip() == name))


def set_cookie(name: str, value: str, *, secure: bool, max_age_s: int, partitioned: bool = False) -> str:
    """A Set-Cookie header: host-only, unreadable to scripts, SameSite=Lax unless it is for a frame (`partitioned`)."""
    site = "SameSite=None; Partitioned" if partitioned else "SameSite=Lax"
    return f"{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; {site}{'; Secure' if secure else ''}"
