"""Control groups, which bound a whole sandbox, where this process may make them."""

import errno
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.backends.local.launcher.processes import signal_all
from orchestrator.domain import Size

_CPU_PERIOD_US = 100_000

_Writes = list[tuple[str, str]]


def _memory_v1(size: Size) -> _Writes:
    limit = str(size.memory_bytes)
    return [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", limit)]


def _memory_v2(size: Size) -> _Writes:
    # Not memory.oom.group: the program that grew is to go, not the terminals beside it.
    return [("memory.max", str(size.memory_bytes)), ("memory.swap.max", "0")]


def _pids(size: Size) -> _Writes:
    return [("pids.max", str(size.pids))]


def _cpu_v1(size: Size) -> _Writes:
    return [("cpu.cfs_period_us", str(_CPU_PERIOD_US)), ("cpu.cfs_quota_us", str(int(size.cpus * _CPU_PERIOD_US)))]


def _cpu_v2(size: Size) -> _Writes:
    return [("cpu.max", f"{int(size.cpus * _CPU_PERIOD_US)} {_CPU_PERIOD_US}")]


_SETTINGS: dict[int, dict[str, Callable[[Size], _Writes]]] = {
    1: {"memory": _memory_v1, "pids": _pids, "cpu": _cpu_v1},
    2: {"memory": _memory_v2, "pids": _pids, "cpu": _cpu_v2},
}
# Without swap accounting these two do not exist, and there is no swap to bound or it is the operator's to switch off.
_OPTIONAL = frozenset({"memory.memsw.limit_in_bytes", "memory.swap.max"})
_OOM_KILLS = {1: ("memory.oom_control", "oom_kill"), 2: ("memory.events", "oom_kill")}
CONTROLLERS = tuple(_SETTINGS[1])


@dataclass(frozen=True, slots=True)
class Group:
    """One sandbox's control groups, one folder per hierarchy."""

    version: int
    folders: Mapping[str, Path]  # by controller; version 2 has the same folder for all

    def add(self, pid: int) -> None:
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def oom_kills(self) -> int:
        """How often memory ran out."""
        name, key = _OOM_KILLS[self.version]
        folder = self.folders.get("memory")
        try:
            words = (folder / name).read_text().split() if folder else []
        except OSError:
            return 0
        return int(words[words.index(key) + 1]) if key in words else 0

    def remove(self) -> bool:
        """False: the kernel has not let go of the last process yet, ask again."""
        return not [folder for folder in set(self.folders.values()) if not _removed(folder)]


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where groups can be made, by controller. Groups are siblings named `prefix` + name."""

    version: int
    parents: Mapping[str, Path]
    prefix: str

    def create(self, name: str, size: Size) -> Group:
        """OSError when the kernel refuses a limit."""
        folders = {controller: parent / (self.prefix + name) for controller, parent in self.parents.items()}
        group = Group(self.version, folders)
        try:
            for controller, folder in folders.items():
                folder.mkdir(exist_ok=True)
                _write(folder, _SETTINGS[self.version][controller](size))
        except OSError:
            group.remove()
            raise
        return group

    def sweep(self) -> None:
        """Remove the groups that a killed launcher left behind; whatever should have died with it ends now."""
        for parent in set(self.parents.values()):
            for folder in parent.glob(self.prefix + "*"):
                signal_all(_members(folder), signal.SIGKILL)
                _removed(folder)  # or by the next sweep: the kernel lets go of them a little later


def find(prefix: str, *, own: str, mounts: str) -> Cgroups | None:
    """Control groups this process can make, found by trying; None when not even memory or pids can be bounded.

    `own` and `mounts` are the contents of /proc/self/cgroup and /proc/self/mounts.
    """
    for candidate in _candidates(prefix, _own_paths(own), mounts):
        usable = {name: parent for name, parent in candidate.parents.items() if _works(candidate, name, parent)}
        if "memory" in usable or "pids" in usable:
            return Cgroups(candidate.version, usable, prefix)
    return None


def _own_paths(text: str) -> dict[str, str]:
    """Controller -> this process's group; "" is the unified hierarchy."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        paths.update(dict.fromkeys(controllers.split(","), path))
    return paths


def _candidates(prefix: str, own: Mapping[str, str], mounts: str) -> Iterator[Cgroups]:
    """Best first. In the unified hierarchy a group with processes has no children with limits, its root may."""
    legacy: dict[str, Path] = {}
    for line in mounts.splitlines():
        _, mounted_on, kind, options, *_ = line.split()
        root = Path(mounted_on)
        if kind == "cgroup":
            for controller in set(options.split(",")) & set(CONTROLLERS):
                legacy[controller] = _below(root, own.get(controller, "/"))
        elif kind == "cgroup2":
            for parent in dict.fromkeys((_below(root, own.get("", "/")), root)):
                if _delegate(parent):
                    yield Cgroups(2, dict.fromkeys(CONTROLLERS, parent), prefix)
    if legacy:
        yield Cgroups(1, legacy, prefix)


def _below(root: Path, path: str) -> Path:
    """The mount may show only a part of the hierarchy, as in a container."""
    inside = root / path.lstrip("/")
    return inside if inside.is_dir() else root


def _delegate(parent: Path) -> bool:
    """Let children of `parent` have limits. Moves the processes of a group that was delegated to us into a leaf."""
    try:
        offered = set((parent / "cgroup.controllers").read_text().split()) & set(CONTROLLERS)
        wanted = " ".join(f"+{name}" for name in sorted(offered))
        if offered <= set((parent / "cgroup.subtree_control").read_text().split()):
            return bool(offered)
        try:
            (parent / "cgroup.subtree_control").write_text(wanted)
        except OSError as error:
            if error.errno != errno.EBUSY or os.geteuid() == 0:  # root's own group is shared with its session
                raise
            leaf = parent / "devex-server"
            leaf.mkdir(exist_ok=True)
            for pid in (parent / "cgroup.procs").read_text().split():
                (leaf / "cgroup.procs").write_text(pid)
            (parent / "cgroup.subtree_control").write_text(wanted)
    except OSError:
        return False
    return True


def _works(cgroups: Cgroups, controller: str, parent: Path) -> bool:
    """Make a group, set every limit and read each back."""
    probe = parent / f"{cgroups.prefix}probe"
    try:
        probe.mkdir(exist_ok=True)
        for name, value in _write(probe, _SETTINGS[cgroups.version][controller](Size())):
            if (probe / name).read_text().split() != value.split():
                return False
    except OSError:
        return False
    finally:
        _removed(probe)
    return True


def _write(folder: Path, writes: _Writes) -> _Writes:
    """-> what was written. Files that must be there are never created: a fake success would be no limit."""
    written = []
    for name, value in writes:
        if not (folder / name).exists():
            if name in _OPTIONAL:
                continue
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder / name))
        (folder / name).write_text(value)
        written.append((name, value))
    return written


def _members(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except OSError:
        return []  # somebody else removed it


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
