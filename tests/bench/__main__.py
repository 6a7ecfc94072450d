"""`python -m tests.bench [NAME]`: measure, print one JSON object, write it to bench-results.json."""

import json
import sys
from collections.abc import Callable, Iterator

from tests import given
from tests.bench import (
    agents,
    beside_terminado,
    browser,
    flooded,
    given_cluster,
    memory,
    pods,
    reconnect,
    snapshots,
    terminals,
)
from tests.bench.figures import TARGETS, Measured, judge
from tests.bench.server import ROOT, Server, running

ONE: dict[str, Callable[[Server], Measured]] = {
    "create_to_prompt_ms": terminals.create_to_prompt,
    "reopen_to_prompt_ms": terminals.reopen_to_prompt,
    "echo_ms": terminals.echo,
    "echo_50_p99_ms": beside_terminado.echo_50,
    "echo_under_flood_p95_ms": flooded.echo,
    "flood_mb_s": terminals.flood,
    "flood_vs_terminado": beside_terminado.flood,
    "flood_rendered_s": browser.flood_rendered,
    "ctrl_c_p95_ms": beside_terminado.ctrl_c,
    "ctrl_c_slow_p95_ms": beside_terminado.ctrl_c_slow,
    "ui_roundtrip_ms": browser.ui_roundtrip,
    "idle_repl_mib": memory.idle_repl,
    "workbench_mib": memory.workbench,
    "workbench_load_kb": browser.workbench_load,
    "terminal_usable_ms": browser.terminal_usable,
    "editor_usable_ms": browser.editor_usable,
}


TOGETHER: dict[tuple[str, ...], Callable[[Server], tuple[Measured, ...]]] = {
    ("echo_vs_terminado", "echo_vs_pty"): beside_terminado.echo,
    ("save_bytes", "save_ms"): browser.save,
}
"""Figures of one measurement."""


ALONE: dict[str, Callable[[], Measured]] = {
    "reconnect_ms": reconnect.reconnect,
    "agent_start_ms": agents.start,
    "agent_mib": agents.memory,
    "manifest_ms": pods.manifest,
    "reconcile_1000_ms": pods.reconcile,
    "watched_1000_mib": pods.watched,
    "forward_echo_added_ms": pods.echo,
    "forward_mb_s": pods.throughput,
}


ON_A_CLUSTER: dict[str, tuple[Callable[[Server], Measured], dict[str, str]]] = {
    "k8s_create_to_prompt_ratio": (given_cluster.create_to_prompt, {}),
    "k8s_warm_to_prompt_ms": (given_cluster.warm_to_prompt, given_cluster.WARM),
}
"""With settings of their own."""


def measure(only: str | None) -> Iterator[dict[str, object]]:
    """One row a figure; a server of its own for each, so that none pays for another's."""
    for name, measurement in ONE.items():
        if only in (None, name):
            with running() as server:
                yield judge(name, measurement(server))
    for names, together in TOGETHER.items():
        if only in (None, *names):
            with running() as server:
                for name, measured in zip(names, together(server), strict=True):
                    yield judge(name, measured)
    if only in (None, *reconnect.OF_CYCLES):
        for name, measured in zip(reconnect.OF_CYCLES, reconnect.cycles(), strict=True):
            yield judge(name, measured)
    for name, alone in ALONE.items():
        if only in (None, name):
            yield judge(name, alone())
    for name, (there, settings) in ON_A_CLUSTER.items():
        if only in (None, name) and given.settings():
            given.free_namespace()
            with running({**given.settings(), **settings}) as server:
                yield judge(name, there(server))
        elif only in (None, name):
            print(f"{name} is left out: no cluster is given (see CONTRIBUTING.md)", file=sys.stderr)
    for name, measured in snapshots.measure(lambda name: only in (None, name)):
        yield judge(name, measured)


def main() -> int:
    """0 when every figure is met."""
    only = sys.argv[1] if len(sys.argv) > 1 else None
    if only is not None and only not in TARGETS:
        print(f"There is no figure {only!r}. There are: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    rows = []
    for row in measure(only):
        rows.append(row)
        print(row, file=sys.stderr)
    report = json.dumps({"figures": rows}, indent=1)
    (ROOT / "bench-results.json").write_text(report + "\n")
    print(report)
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
