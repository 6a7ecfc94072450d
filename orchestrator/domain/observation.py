"""What a backend shows of a sandbox."""

from dataclasses import dataclass
from enum import StrEnum


class SandboxPhase(StrEnum):
    """What is seen of a sandbox; one that is gone is not seen at all."""

    STARTING = "starting"
    RUNNING = "running"  # the proxy answers and the agent has said hello
    STOPPING = "stopping"
    FAILED = "failed"  # nothing of it runs any more, and nobody wanted that


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One incarnation, `(repl_id, epoch)`, as it is now. `reason` is a plain sentence."""

    repl_id: str
    epoch: int
    phase: SandboxPhase
    reason: str | None = None

    @property
    def alive(self) -> bool:
        return self.phase in (SandboxPhase.STARTING, SandboxPhase.RUNNING, SandboxPhase.STOPPING)
