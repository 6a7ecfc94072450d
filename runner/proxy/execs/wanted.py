"""What a script wants to have run, as it says it in JSON or in a query. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.errors import DevexError
from runner.protocol.messages import MAX_ARGUMENTS
from runner.proxy import http
from runner.proxy.terminals.screen import DEFAULT_SIZE
from runner.workspace import paths

ARGUMENT_MOST_BYTES: Final = 100_000  # the kernel takes 128 KiB as one argument
TOTAL_MOST_BYTES: Final = 400_000  # of a request; with the REPL's own environment an Open stays below its 1 MiB
LIMIT_MOST_S: Final = 86_400  # a day: nobody remembers what has run for longer
SHOWN_CHARACTERS: Final = 40  # of a name that nobody knows: a sentence holds it
FIELDS: Final = ("command", "argv", "env", "cwd", "tty", "timeout_s", "stdin", "stream")

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TOO_LONG: Final = "The command or its surroundings are too long."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`cwd` is below the workspace, `tty` the columns and rows of a terminal; None: it has none. `stdin` is all of the
    input, or whether input will come."""

    argv: tuple[str, ...]
    cwd: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    tty: tuple[int, int] | None = None
    timeout_s: int | None = None
    stdin: str | bool = False
    stream: bool = False


def parse(text: str | bytes) -> Wanted:
    """The first message of a WebSocket. DevexError."""
    if len(text) > TOTAL_MOST_BYTES:
        raise _bad(_TOO_LONG, "Put it into a file.")
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise _bad("The first message is not a JSON object.", 'Send {"command": "…"} as text.')
    return wanted(fields)


def of_query(pairs: Iterable[tuple[str, str]]) -> Wanted:
    """`argv` and `env` (NAME=value) may come again and again; the request's body is the input. DevexError."""
    fields: dict[str, Any] = {"stdin": True, "stream": True}
    for name, value in pairs:
        if name == "argv":
            fields.setdefault("argv", []).append(value)
        elif name == "env":
            variable, _, content = value.partition("=")
            fields.setdefault("env", {})[variable] = content
        elif name == "timeout_s":
            fields[name] = int(value) if value.isascii() and value.isdigit() and len(value) < 9 else value
        elif name in ("command", "cwd"):
            fields[name] = value
        else:
            raise _bad(
                f"A query holds no “{paths.display(name[:SHOWN_CHARACTERS])}”.",
                "Send command, argv, env, cwd or timeout_s.",
            )
    return wanted(fields)


def wanted(fields: Mapping[str, Any]) -> Wanted:
    """DevexError."""
    given = {name: value for name, value in fields.items() if value is not None}
    if unknown := next((name for name in given if name not in FIELDS), None):
        raise _bad(f"There is no field “{paths.display(unknown[:SHOWN_CHARACTERS])}”.", f"Send {', '.join(FIELDS)}.")
    if ("command" in given) == ("argv" in given):
        raise _bad("It needs either a command or an argv.", 'Send {"command": "…"} or {"argv": ["…"]}.')
    if "command" in given:
        argv = ["/bin/sh", "-c", http.field(given, "command", str)]
    else:
        argv = http.field(given, "argv", list)
    environment = http.field(given, "env", dict, {})
    texts = [*argv, *environment.values()]
    if not argv or not all(isinstance(one, str) and "\0" not in one for one in texts):
        raise _bad("What is to be run is not all text without NUL characters.", "Send texts.")
    if not all(_VARIABLE.fullmatch(name) for name in environment):
        raise _bad("A variable of the environment has an impossible name.", "Use letters, digits and _.")
    lengths = [len(one.encode("utf-8", "surrogatepass")) for one in texts]
    if max(lengths) > ARGUMENT_MOST_BYTES or len(texts) > MAX_ARGUMENTS or sum(lengths) > TOTAL_MOST_BYTES:
        raise _bad(_TOO_LONG, "Put it into a file.")
    if any("\ud800" <= letter <= "\udfff" for one in texts for letter in one):
        raise _bad("What is to be run holds half a character.", "Send whole ones.")
    return Wanted(
        argv=tuple(argv),
        cwd=paths.text(paths.parse(http.field(given, "cwd", str, ""))),
        environment=environment,
        tty=_size(given["tty"]) if "tty" in given else None,
        timeout_s=_limit(given),
        stdin=given["stdin"] if isinstance(given.get("stdin"), str) else http.field(given, "stdin", bool, False),
        stream=http.field(given, "stream", bool, False),
    )


def _size(tty: object) -> tuple[int, int]:
    if not isinstance(tty, dict):
        raise _bad("The field “tty” is missing or wrong.", 'Send {"cols": 80, "rows": 24} in it.')
    return http.field(tty, "cols", int, DEFAULT_SIZE[0]), http.field(tty, "rows", int, DEFAULT_SIZE[1])


def _limit(given: dict[str, Any]) -> int | None:
    return min(max(http.field(given, "timeout_s", int), 1), LIMIT_MOST_S) if "timeout_s" in given else None


def _bad(message: str, action: str) -> DevexError:
    return DevexError("bad_request", message, action)
