"""The cookies of DEVEX: what they are called, and how they are written and read.

A page of a program may set a cookie for a domain above its own host, which then comes to every host below. Over https
the prefix `__Host-` makes browsers refuse that; over http a second cookie of the same name gives it away.
"""

from starlette.requests import HTTPConnection

# runner/proxy/ports/headers.py keeps whatever begins with "devex" from programs, and what they set from browsers.
SESSION = "devex_session"
PREVIEW = "devex_preview"
UI = "devex_ui"  # NiceGUI's own: themes and the like


def full_name(name: str, *, https: bool) -> str:
    """The name as it is sent."""
    return f"__Host-{name}" if https else name


def values_of(connection: HTTPConnection, name: str) -> list[str]:
    """Every value that came under this name, each once."""
    pairs = (pair.partition("=") for line in connection.headers.getlist("cookie") for pair in line.split(";"))
    return list(dict.fromkeys(value.strip() for key, _, value in pairs if key.strip() == name))


def session_token(connection: HTTPConnection, *, https: bool) -> str | None:
    """The token of the session; None also when there are two: one was planted, and would sign in somebody else."""
    values = values_of(connection, full_name(SESSION, https=https))
    return values[0] if len(values) == 1 else None


def set_cookie(name: str, value: str, *, secure: bool, max_age_s: int, partitioned: bool = False) -> str:
    """A Set-Cookie header: host-only, unreadable to scripts, SameSite=Lax unless it is for a frame (`partitioned`)."""
    site = "SameSite=None; Partitioned" if partitioned else "SameSite=Lax"
    return f"{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; {site}{'; Secure' if secure else ''}"
