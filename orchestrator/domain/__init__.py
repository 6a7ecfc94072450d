"""Pure types and rules: no I/O, no clock, no asyncio. `now` is always an argument."""

from orchestrator.domain.extension import EXTEND_HOURS, extended, used_today_s
from orchestrator.domain.lease import Activity, CpuSample, Lease
from orchestrator.domain.ledger import Ledger, Span, closed, noted, totals_s
from orchestrator.domain.limits import Egress, Limits, Size
from orchestrator.domain.observation import Observation, SandboxPhase
from orchestrator.domain.plan import (
    Action,
    Ensure,
    Explain,
    Move,
    Purge,
    Save,
    Seed,
    Stop,
    Wake,
    adopted,
    deadline,
    failed,
    plan,
)
from orchestrator.domain.repl import RESTING, TRANSITIONS, Event, Goal, IllegalTransition, Phase, Repl, advance

__all__ = [
    "EXTEND_HOURS",
    "RESTING",
    "TRANSITIONS",
    "Action",
    "Activity",
    "CpuSample",
    "Egress",
    "Ensure",
    "Event",
    "Explain",
    "Goal",
    "IllegalTransition",
    "Lease",
    "Ledger",
    "Limits",
    "Move",
    "Observation",
    "Phase",
    "Purge",
    "Repl",
    "SandboxPhase",
    "Save",
    "Seed",
    "Size",
    "Span",
    "Stop",
    "Wake",
    "adopted",
    "advance",
    "closed",
    "deadline",
    "extended",
    "failed",
    "noted",
    "plan",
    "totals_s",
    "used_today_s",
]
