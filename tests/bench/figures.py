"""What is measured, in which unit, and what is promised."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A promise. `times_limit`: `value` is a multiple of the limit measured in the same run, else absolute."""

    unit: str
    value: float
    times_limit: bool = False
    at_least: bool = False


TARGETS = {
    "create_to_prompt_ms": Target(unit="ms", value=100),
    "reopen_to_prompt_ms": Target(unit="ms", value=80),
    "echo_ms": Target(unit="ms", value=3, times_limit=True),
    "echo_vs_terminado": Target(unit="of terminado's", value=0.5),
    "echo_vs_pty": Target(unit="of a bare PTY's", value=2.6),
    "echo_50_p99_ms": Target(unit="ms", value=1.8),
    "echo_under_flood_p95_ms": Target(unit="ms", value=10),
    "flood_mb_s": Target(unit="MB/s", value=50, at_least=True),
    "flood_vs_terminado": Target(unit="of terminado's", value=1.1, at_least=True),
    "flood_rendered_s": Target(unit="s", value=4.4),
    "ctrl_c_p95_ms": Target(unit="ms", value=50),
    "ctrl_c_slow_p95_ms": Target(unit="ms", value=300),
    "reconnect_ms": Target(unit="ms", value=500),
    "reconnect_cycles": Target(unit="cycles", value=1000, at_least=True),
    "reconnect_growth_mib": Target(unit="MiB", value=2),
    "ui_roundtrip_ms": Target(unit="ms", value=100),
    "agent_start_ms": Target(unit="ms", value=30),
    "agent_mib": Target(unit="MiB", value=7),
    "idle_repl_mib": Target(unit="MiB", value=8),
    "workbench_mib": Target(unit="MiB", value=1),
    "workbench_load_kb": Target(unit="kB", value=900),
    "terminal_usable_ms": Target(unit="ms", value=1000),
    "editor_usable_ms": Target(unit="ms", value=1000),
    "save_bytes": Target(unit="B", value=200),
    "save_ms": Target(unit="ms", value=600),
    "snapshot_first_ratio": Target(unit="of rclone's", value=0.5),
    "snapshot_first_s": Target(unit="s", value=2),
    "snapshot_one_ms": Target(unit="ms", value=100),
    "snapshot_none_ms": Target(unit="ms", value=150),
    "restore_s": Target(unit="s", value=3),
    "restore_open_ms": Target(unit="ms", value=1000),
    "snapshot_peak_mib": Target(unit="MiB", value=130),
    "snapshot_one_requests": Target(unit="requests", value=8),
    "snapshot_one_kib": Target(unit="KiB", value=16),
    "snapshot_first_far_s": Target(unit="s", value=3),
    "snapshot_one_far_s": Target(unit="s", value=0.5),
    "restore_far_s": Target(unit="s", value=9),
    "manifest_ms": Target(unit="ms", value=5),
    "reconcile_1000_ms": Target(unit="ms of CPU", value=50),
    "watched_1000_mib": Target(unit="MiB", value=64),
    "forward_echo_added_ms": Target(unit="ms", value=0.5),
    "forward_mb_s": Target(unit="MB/s", value=100, at_least=True),
    "k8s_create_to_prompt_ratio": Target(unit="of a bare Deployment's", value=1.3),
    "k8s_warm_to_prompt_ms": Target(unit="ms", value=300),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and the physical limit beside it, both in the target's unit; None where nothing physical bounds it.

    `beside`: what other programs need for the same, in the same unit. `parts`: what a ratio was made of, by name and
    unit.
    """

    value: float
    limit: float | None = None
    beside: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)


def judge(name: str, measured: Measured) -> dict[str, object]:
    """One row of the report."""
    promise = TARGETS[name]
    target = promise.value
    if promise.times_limit:
        assert measured.limit is not None, f"{name} is promised as a multiple of a limit"
        target *= measured.limit
    met = measured.value >= target if promise.at_least else measured.value <= target
    return {
        "name": name,
        "value": round(measured.value, 3),
        "unit": promise.unit,
        "target": round(target, 3),
        "limit": None if measured.limit is None else round(measured.limit, 3),
        "beside": {who: round(value, 3) for who, value in measured.beside.items()},
        "parts": {name: round(value, 3) for name, value in measured.parts.items()},
        "met": met,
    }


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile; `share` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
