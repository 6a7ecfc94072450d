"""What server and launcher say to each other: one JSON object a line, both ends of the same release.

server -> launcher  {"n": number, "verb": ..., and the fields of that Request}
launcher -> server  {"n": number, "ok": ...}, the answer
                    {"n": number, "error": the fields of a Fault}
                    {"event": "ended", and the fields of Ended}
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Generic, Self, TypeVar

from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.domain import Egress, Size
from runner.protocol.messages import VERSION as AGENT_VERSION

VERSION = f"5/{AGENT_VERSION}"  # a launcher of another release, or agents of one, cannot be adopted
MAX_LINE_BYTES = 4 << 20  # a list of hundreds of sandboxes with their environments

Message = dict[str, Any]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a launcher found out about its machine: the server goes by it, the doctor and the logs show it."""

    uids: tuple[int, int]  # of sandboxes: the first, and the one behind the last
    mode: str  # one of `launcher.modes`
    bubblewrap: str
    python: str
    cgroups: int | None  # their version
    controllers: tuple[str, ...]
    bounds_memory: bool
    failed: tuple[str, ...]  # what was tried and does not work here

    @classmethod
    def of(cls, fields: Message) -> Self:
        first, end = fields["uids"]
        lists = {name: tuple(fields[name]) for name in ("controllers", "failed")}
        return cls(**{**fields, **lists, "uids": (first, end)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """`facts` are read when the version is ours: another's may be others."""

    version: str
    pid: int
    facts: Facts | None

    @classmethod
    def of(cls, fields: Message) -> Self:
        ours = fields["version"] == VERSION
        return cls(version=fields["version"], pid=fields["pid"], facts=Facts.of(fields["facts"]) if ours else None)


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that can be adopted."""

    spec: SandboxSpec
    uid: int
    pid: int  # the first process inside, as the host counts

    @classmethod
    def of(cls, fields: Message) -> Self:
        return cls(_spec_of(fields["spec"]), fields["uid"], fields["pid"])


@dataclass(frozen=True, slots=True)
class Ended:
    """A sandbox is gone, and nobody had asked for that."""

    repl_id: str
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no answer."""

    message: str
    action: str = ""
    retryable: bool = True

    def error(self) -> BackendError:
        action = self.action or "Try again; if it stays, ask the operator."
        return BackendError(self.message, retryable=self.retryable, action=action)


@dataclass(frozen=True)
class Request(Generic[Answer]):
    verb: ClassVar[str]

    def answer(self, said: Any) -> Answer:
        """What the launcher said, as JSON has it."""
        answer: Answer = said
        return answer


@dataclass(frozen=True, slots=True)
class Ping(Request[Hello]):
    verb = "ping"

    def answer(self, said: Any) -> Hello:
        return Hello.of(said)


@dataclass(frozen=True, slots=True)
class Start(Request[None]):
    spec: SandboxSpec
    verb = "start"


@dataclass(frozen=True, slots=True)
class Stop(Request[None]):
    repl_id: str
    epoch: int
    verb = "stop"


@dataclass(frozen=True, slots=True)
class Freeze(Request[None]):
    repl_id: str
    epoch: int
    frozen: bool
    verb = "freeze"


@dataclass(frozen=True, slots=True)
class List(Request[list[Running]]):
    verb = "list"

    def answer(self, said: Any) -> list[Running]:
        return [Running.of(fields) for fields in said]


@dataclass(frozen=True, slots=True)
class CpuTimes(Request[dict[str, float]]):
    """Seconds by repl id."""

    verb = "cpu"


@dataclass(frozen=True, slots=True)
class Probe(Request[dict[str, str]]):
    """What a sandbox could do that it must not: call -> how that ended."""

    verb = "doctor"


@dataclass(frozen=True, slots=True)
class Shutdown(Request[None]):
    """Stop every sandbox, and end."""

    verb = "shutdown"


AnyRequest = Ping | Start | Stop | Freeze | List | CpuTimes | Probe | Shutdown
_BY_VERB: dict[str, type[AnyRequest]] = {
    kind.verb: kind for kind in (Ping, Start, Stop, Freeze, List, CpuTimes, Probe, Shutdown)
}


def line(message: Message) -> bytes:
    """What is one of our dataclasses in it goes as its fields."""
    return json.dumps(message, default=asdict).encode() + b"\n"


def request_line(number: int, request: Request[Any]) -> bytes:
    return line({"n": number, "verb": request.verb, **asdict(request)})


def request_of(message: Message) -> AnyRequest:
    """Raises KeyError, TypeError or ValueError: it is none."""
    fields = {name: value for name, value in message.items() if name not in ("n", "verb")}
    if "spec" in fields:
        fields["spec"] = _spec_of(fields["spec"])
    return _BY_VERB[message["verb"]](**fields)


def _spec_of(fields: Message) -> SandboxSpec:
    return SandboxSpec(**{**fields, "size": Size(**fields["size"]), "egress": Egress(fields["egress"])})
