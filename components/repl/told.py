"""What a REPL tells its page, as plain data: see `runner.proxy.events` for what it says on the wire."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Shell:
    """A terminal that somebody types in; `named` by somebody, not by its number."""

    id: str
    title: str
    named: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The program that runs or ran last; without a `terminal` none has."""

    running: bool = False
    terminal: str | None = None
    command: str | None = None
    exit_code: int | None = None
    duration_s: float | None = None
    peak_bytes: int | None = None  # of the largest of its processes
    forced: bool = False  # it did not end when it was asked to

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """As `GET run` answers."""
        return cls(**{name: fields[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Port:
    """What a program listens on; `web` is None until a visit has told whether it answers with pages."""

    port: int
    web: bool | None


@dataclass(frozen=True, slots=True)
class Hello:
    """How things stand, told first and after every reconnect."""

    run: Run
    ports: tuple[Port, ...]
    shells: tuple[Shell, ...]
    paused: "Paused | None"


@dataclass(frozen=True, slots=True)
class Shells:
    shells: tuple[Shell, ...]


@dataclass(frozen=True, slots=True)
class Ports:
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Paused:
    """Why programs are, and what to do."""

    message: str
    action: str


@dataclass(frozen=True, slots=True)
class Quota:
    paused: Paused | None


Told = Hello | Run | Ports | Shells | Quota


def told_of(message: dict[str, Any]) -> Told | None:
    """None: of no concern to Python. Raises KeyError: not as the REPL says it."""
    match message["type"]:
        case "hello":
            run, ports, shells = Run.of(message["run"]), ports_of(message["ports"]), shells_of(message["terminals"])
            return Hello(run, ports, shells, paused_of(message["paused"]))
        case "run":
            return Run.of(message)
        case "ports":
            return Ports(ports_of(message["ports"]))
        case "terminals":
            return Shells(shells_of(message["terminals"]))
        case "quota":
            return Quota(paused_of(message["paused"]))
    return None


def paused_of(paused: dict[str, str] | None) -> Paused | None:
    return Paused(**paused) if paused else None


def ports_of(ports: Iterable[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(one["port"], one["web"]) for one in ports)


def shells_of(terminals: Iterable[dict[str, Any]]) -> tuple[Shell, ...]:
    """Of `GET terminals`, the outputs of programs aside."""
    return tuple(Shell(one["id"], one["title"], one["named"]) for one in terminals if one["kind"] == "shell")
