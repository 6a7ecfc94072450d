"""What is measured, in which unit, and what is promised."""

from dataclasses import dataclass


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
    "echo_50_p99_ms": Target(unit="ms", value=3),
    "flood_mb_s": Target(unit="MB/s", value=50, at_least=True),
    "ctrl_c_ms": Target(unit="ms", value=100),
    "ui_roundtrip_ms": Target(unit="ms", value=100),
    "idle_repl_mib": Target(unit="MiB", value=8),
    "workbench_mib": Target(unit="MiB", value=1),
    "workbench_load_kb": Target(unit="kB", value=900),
    "terminal_usable_ms": Target(unit="ms", value=1000),
    "editor_usable_ms": Target(unit="ms", value=1000),
    "save_bytes": Target(unit="B", value=200),
    "save_ms": Target(unit="ms", value=600),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A value and the physical limit beside it, both in the target's unit; None where nothing physical bounds it."""

    value: float
    limit: float | None = None


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
        "met": met,
    }


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile; `share` in 0..1."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
