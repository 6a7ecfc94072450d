"""The addresses people are sent: they carry the token of an invitation or of the set-up."""

from urllib.parse import urlencode


def invitation_url(origin: str, token: str) -> str:
    """Where one person can sign up; `token` comes from `Accounts.invite`."""
    return f"{origin}/sign-up?{urlencode({'invite': token})}"


def setup_url(origin: str, token: str) -> str:
    """Where one person becomes an administrator; `token` comes from `Accounts.setup_link`."""
    return f"{origin}/setup?{urlencode({'token': token})}"
