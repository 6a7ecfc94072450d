"""What the address of a request names: paths and parameters, byte for byte. No path is resolved here."""

import re
from urllib.parse import unquote, unquote_to_bytes

from starlette.requests import Request

from runner.errors import DevexError
from runner.workspace.paths import parse


def file_path(request: Request) -> str:
    """`files/{path}`, byte for byte: frameworks decode it as UTF-8 and lose other names. Or `files?path=`."""
    decoded: str | None = request.path_params.get("path")
    if decoded is None:
        return query_path(request, "path")
    raw = request.scope.get("raw_path", b"").partition(b"/files/")[2]
    path = _fsdecoded(raw) if unquote(raw.decode("latin-1")) == decoded else decoded
    return checked(path)


def query(request: Request, name: str, default: str | None = None) -> str:
    """A query parameter, byte for byte as `file_path`; of several the first."""
    if given := queries(request, name):
        return given[0]
    if default is None:
        raise DevexError("bad_request", f"The parameter “{name}” is missing.", "Add it to the address.")
    return default


def queries(request: Request, name: str) -> list[str]:
    """All parameters of this name, byte for byte as `file_path`."""
    pairs = (pair.partition(b"=") for pair in request.scope["query_string"].split(b"&"))
    return [_fsdecoded(value.replace(b"+", b" ")) for key, _, value in pairs if key.decode("latin-1") == name]


def query_path(request: Request, name: str, default: str | None = None) -> str:
    return checked(query(request, name, default))


def number(request: Request, name: str, default: int | None = None) -> int:
    text = query(request, name, None if default is None else str(default))
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise DevexError("bad_request", f"The parameter “{name}” must be a number.", "Correct the address.")
    return int(text)


def _fsdecoded(quoted: bytes) -> str:
    return unquote_to_bytes(quoted).decode("utf-8", "surrogateescape")


def checked(path: str) -> str:
    """Plain, and without names that would mean something else to whoever decodes the address a second time."""
    for part in parse(path):
        if b"%" in part and {b".", b".."} & set(re.split(rb"[/\\]", unquote_to_bytes(part))):
            raise DevexError("bad_path", "This path is encoded twice.", "Encode it once.")
    return path
