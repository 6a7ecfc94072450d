"""Repls, observations and leases, as the rules are given them."""

from datetime import UTC, datetime, timedelta

from orchestrator.domain import Activity, Lease, Limits, Observation, Repl, SandboxPhase
from tests.contracts.records import make_repl

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits()


def seen(epoch: int, phase: SandboxPhase, reason: str | None = None) -> Observation:
    return Observation(repl_id="repl1", epoch=epoch, phase=phase, reason=reason)


def repl(**changes: object) -> Repl:
    return make_repl(1, **({"phase_at": NOW} | changes))


def lease(renewed_at: datetime = NOW, idle_s: float = 1800) -> Lease:
    expires_at = renewed_at + timedelta(seconds=idle_s)
    return Lease(repl_id="repl1", activity=Activity.EDIT, renewed_at=renewed_at, expires_at=expires_at)
