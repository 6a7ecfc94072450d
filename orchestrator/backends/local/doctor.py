"""What `devex doctor` says about this machine, made of what the launcher found out."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.backends.base import Check
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.wire import Facts
from runner.errors import DevexError
from runner.snapshots.stores.opening import StoreSpec, place_of

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
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_REPLACES = (
    "The server ignores that an object may only be created, not replaced. Versions are safe while one DEVEX writes "
    "them; two that use the same place could replace each other's."
)
_DELEGATE = "Run DEVEX as root, or by systemd with Delegate=yes."


def checks(facts: Facts, failures: dict[str, str], layout: Layout) -> list[Check]:
    """`failures`: of `probes.run`."""
    return [
        Check(name="sandbox", ok=True, detail=_MODES[facts.mode].format(euid=os.geteuid()) + _tried(facts)),
        Check(name="bubblewrap", ok=True, detail=f"{facts.bubblewrap} starts {facts.python}."),
        _filter(failures),
        *(_bound(facts, controller, *told) for controller, told in _BOUND.items()),
        *(_tool(Path(path), package) for path, package in _TOOLS.items()),
        _hard_links(Path("/proc/sys/fs/protected_hardlinks")),
        _free("disk", layout.data, "every REPL stops"),
    ]


def store_checks(spec: StoreSpec, probed: bool | DevexError) -> list[Check]:
    """`probed`: whether existing objects are left alone, or what failed."""
    if isinstance(probed, DevexError):
        return [Check(name="store", ok=False, detail=f"{place_of(spec)}: {probed.message}", action=probed.action)]
    return [
        Check(name="store", ok=True, detail=f"{place_of(spec)} is written, listed, read and deleted from."),
        _conditional(probed),
        *_way_to(spec),
        *_space_of(spec),
    ]


def _conditional(kept: bool) -> Check:
    name = "store keeps what it has"
    if kept:
        return Check(name=name, ok=True, detail="It refuses to replace an object.")
    return Check(name=name, ok=None, detail=_REPLACES, action="Give every DEVEX a prefix of its own.")


def _way_to(spec: StoreSpec) -> list[Check]:
    endpoint = spec["s3"]["endpoint_url"] if "s3" in spec else None
    if not endpoint or endpoint.startswith("https:") or urlsplit(endpoint).hostname in _LOOPBACK:
        return []
    detail = f"Files travel readable to {endpoint}; the secret key does not travel."
    return [
        Check(name="way to the store", ok=None, detail=detail, action="Set DEVEX_S3_ENDPOINT to its https address.")
    ]


def _space_of(spec: StoreSpec) -> list[Check]:
    return (
        [_free("store's disk", Path(spec["directory"]), "versions are no longer saved")] if "directory" in spec else []
    )


def _tried(facts: Facts) -> str:
    return f" Does not work: {'; '.join(facts.failed)}." if facts.failed else ""


def _filter(failures: dict[str, str]) -> Check:
    if not failures:
        return Check(name="system calls", ok=True, detail="Every dangerous one that was tried is refused.")
    detail = "; ".join(f"{name}: {ending}" for name, ending in failures.items())
    return Check(name="system calls", ok=False, detail=detail, action="Do not let strangers in; report this.")


def _bound(facts: Facts, controller: str, name: str, without: str) -> Check:
    if controller in facts.controllers:
        return Check(name=name, ok=True, detail=f"Bounded by control groups, version {facts.cgroups}.")
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


def _free(name: str, folder: Path, when_full: str) -> Check:
    free = shutil.disk_usage(folder).free
    action = "" if free >= LEAST_FREE_BYTES else f"Make room: when it is full, {when_full}."
    return Check(name=name, ok=not action, detail=f"{free / (1 << 30):.1f} GiB free in {folder}.", action=action)
