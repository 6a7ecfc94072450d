"""What Run does in a workspace, read from the files people have there already. Pure."""

import json
import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from runner.errors import DevexError

MAX_CONFIG_BYTES: Final = 64 * 1024  # of one such file; what is longer is not read


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """`command` and `build` are for a shell. `build` runs first and has to succeed."""

    command: str
    build: str | None = None
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def script(self) -> str:
        return f"{{ {self.build}\n}} && {{ {self.command}\n}}" if self.build else self.command


def discover(files: Mapping[str, bytes], default: str | None) -> RunConfig:
    """The first of CONFIG_FILES that names a command, else `default`.

    Raises DevexError when there is none, or when a file cannot be read: a mistake in it must not go unnoticed.
    """
    for name, read in _READERS.items():
        if name in files:
            try:
                found = read(files[name].decode())
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise DevexError(
                    "run_config", f"{name} cannot be read: {str(error)[:200]}.", f"Correct {name}."
                ) from None
            if found:
                return found
    if default:
        return RunConfig(command=default)
    raise DevexError("no_command", "There is no command to run.", 'Write run = "…" into .devex.toml.')


def _devex(text: str) -> RunConfig | None:
    """run = "…", build = "…", port = 8000, [env]"""
    config = tomllib.loads(text)
    command = _shell(config.get("run"))
    if command is None:
        return None
    return RunConfig(
        command=command,
        build=_shell(config.get("build")),
        port=_port(config.get("port")),
        environment=_environment(config.get("env")),
    )


def _replit(text: str) -> RunConfig | None:
    config = tomllib.loads(text)
    command = _shell(config.get("run"))
    if command is None:
        return None
    ports = [one.get("localPort") for one in config.get("ports", [])]
    environment = _environment(config.get("env", config["run"].get("env") if isinstance(config["run"], dict) else None))
    return RunConfig(
        command=command,
        build=_shell(config.get("compile") or config.get("build")),
        port=_port(next(iter(ports), None)),
        environment=environment,
    )


def _devcontainer(text: str) -> RunConfig | None:
    config = json.loads(_without_comments(text))
    command = _shell(config.get("postAttachCommand") or config.get("postStartCommand"))
    if command is None:
        return None
    return RunConfig(
        command=command,
        port=_port(next(iter(config.get("forwardPorts", [])), None)),
        environment=_environment(config.get("remoteEnv") or config.get("containerEnv")),
    )


def _procfile(text: str) -> RunConfig | None:
    processes = dict(re.findall(r"^([A-Za-z0-9_-]+):[ \t]*(\S.*?)[ \t\r]*$", text, re.MULTILINE))
    command = processes.get("web") or next(iter(processes.values()), None)
    return RunConfig(command=command) if command else None


_READERS: Final[dict[str, Callable[[str], RunConfig | None]]] = {
    ".devex.toml": _devex,
    ".replit": _replit,
    ".devcontainer/devcontainer.json": _devcontainer,
    ".devcontainer.json": _devcontainer,
    "Procfile": _procfile,
}
CONFIG_FILES: Final = tuple(_READERS)


def _shell(value: Any) -> str | None:
    """A command as text, as a list of arguments, as a table with `args`, or as several by name."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list) and value:
        return shlex.join([str(part) for part in value])
    if isinstance(value, dict) and "args" in value:
        return _shell(value["args"])
    if isinstance(value, dict) and value:
        return " && ".join(filter(None, map(_shell, value.values()))) or None
    return None


def _port(value: Any) -> int | None:
    """A number, or "host:port"."""
    number = str(value).rpartition(":")[2] if isinstance(value, str | int) else ""
    return int(number) if number.isascii() and number.isdigit() and 0 < int(number) < 1 << 16 else None


def _environment(value: Any) -> dict[str, str]:
    fits = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    named = value.items() if isinstance(value, dict) else ()
    return {name: str(text) for name, text in named if fits.fullmatch(name) and "\0" not in str(text)}


_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|,(?=\s*[}\]])', re.DOTALL)


def _without_comments(text: str) -> str:
    """JSON as editors write it: without comments, then without commas before a closing bracket."""
    for _ in range(2):
        text = _TOKEN.sub(lambda token: token[0] if token[0].startswith('"') else "", text)
    return text
