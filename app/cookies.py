"""The cookies of DEVEX: what they are called.

A page of a program may set a cookie for a domain above its own host, which then comes to every host below. Over https
the prefix `__Host-` makes browsers refuse that; over http a second cookie of the same name gives it away.
"""

from starlette.requests import HTTPConnection

from runner.cookies import values_of

# runner/proxy/ports/headers.py keeps whatever begins with "devex" from programs, and what they set from browsers.
SESSION = "devex_session"
UI = "devex_ui"  # NiceGUI's own: themes and the like


def full_name(name: str, *, https: bool) -> str:
    """The name as it is sent."""
    return f"__Host-{name}" if https else name


def session_token(connection: HTTPConnection, *, https: bool) -> str | None:
    """The token of the session; None also when there are two: one was planted, and would sign in somebody else."""
    values = values_of(connection.scope["headers"], full_name(SESSION, https=https))
    return values[0] if len(values) == 1 else None
