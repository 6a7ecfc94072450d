"""What `devex doctor` says about this machine, made of what the launcher found out."""

import os
import shutil
from pathlib import Path

from orchestrator.backends.base import Check
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.wire import Message

LEAST_FREE_BYTES = 2 << 30  # one REPL's disk
_TOOLS = {"/bin/bash": "bash", "/usr/bin/git": "git", "/usr/bin/setpriv": "util-linux"}
_MODES = {
    "user": "User namespaces, as uid {euid}: sandboxes share that uid.",
    "root": "User namespaces, each sandbox with a uid of its own.",
    "root-setuid": "No user namespaces here: root makes the sandboxes, each with a uid of its own.",
}
_BOUND = {
    "memory": ("memory", "One REPL could use up the memory of this machine."),
    "pids": ("processes", "Processes are bounded by rlimits only."),
    "cpu": ("CPU", "One REPL could slow down the others."),
}
_DELEGATE = "Run DEVEX as root, or by systemd with Delegate=yes."


def checks(facts: Message, failures: dict[str, str], layout: Layout) -> list[Check]:
    """`failures`: of `probes.run`."""
    return [
        Check(name="sandbox", ok=True, detail=_MODES[facts["mode"]].format(euid=os.geteuid()) + _tried(facts)),
        Check(name="bubblewrap", ok=True, detail=f"{facts['bubblewrap']} starts {facts['python']}."),
        _filter(failures),
        *(_bound(facts, controller, *told) for controller, told in _BOUND.items()),
        *(_tool(Path(path), package) for path, package in _TOOLS.items()),
        _hard_links(Path("/proc/sys/fs/protected_hardlinks")),
        _space(layout),
    ]


def _tried(facts: Message) -> str:
    return f" Does not work: {'; '.join(facts['failed'])}." if facts["failed"] else ""


def _filter(failures: dict[str, str]) -> Check:
    if not failures:
        return Check(name="system calls", ok=True, detail="Every dangerous one that was tried is refused.")
    detail = "; ".join(f"{name}: {ending}" for name, ending in failures.items())
    return Check(name="system calls", ok=False, detail=detail, action="Do not let strangers in; report this.")


def _bound(facts: Message, controller: str, name: str, without: str) -> Check:
    if controller in facts["controllers"]:
        return Check(name=name, ok=True, detail=f"Bounded by control groups, version {facts['cgroups']}.")
    return Check(name=name, ok=False, detail=without, action=_DELEGATE)


def _tool(path: Path, package: str) -> Check:
    if path.exists():
        return Check(name=path.name, ok=True, detail=str(path))
    return Check(name=path.name, ok=False, detail=f"{path} is missing.", action=f"Install {package}.")


def _hard_links(setting: Path) -> Check:
    name = "hard links"
    try:
        protected = setting.read_text().strip() == "1"
    except OSError:
        return Check(name=name, ok=None, detail=f"{setting} cannot be read.")
    if protected:
        return Check(name=name, ok=True, detail="Only to files one may write.")
    action = "sysctl fs.protected_hardlinks=1"
    return Check(name=name, ok=False, detail="Users may link to files that are not theirs.", action=action)


def _space(layout: Layout) -> Check:
    free = shutil.disk_usage(layout.data).free
    detail = f"{free / (1 << 30):.1f} GiB free in {layout.data}."
    action = "" if free >= LEAST_FREE_BYTES else "Make room: a full disk stops every REPL."
    return Check(name="disk", ok=not action, detail=detail, action=action)
