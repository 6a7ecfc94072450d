"""Everything a launcher finds out and builds once, so that a start has nothing left to do but to spawn."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.backends.environment import SOCKETS
from orchestrator.backends.local import uids
from orchestrator.backends.local.inside import AGENT, EGRESS_PORT
from orchestrator.backends.local.launcher import cgroups, etc, modes, reach, system
from orchestrator.backends.local.launcher.bubblewrap import Jail, Mode
from orchestrator.backends.local.launcher.cgroups import Cgroups
from orchestrator.backends.local.launcher.rlimits import rlimits
from orchestrator.backends.local.layout import Layout, checked
from orchestrator.backends.local.wire import Facts
from orchestrator.domain import Egress, Size
from runner import agent

_EGRESS = f"{EGRESS_PORT}:{SOCKETS}/egress.sock"
_ETC, _AGENT, _PROBE = "etc", "agent", "probe"
_REACHED = ("workspaces", "tmp", "packages", "python")  # in the runtime folder; may be mounts of people's files
_BUILT = (_ETC, _AGENT, "run", _PROBE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    layout: Layout
    uids: range  # of this installation's sandboxes
    mode: Mode
    bubblewrap: Path
    interpreter: system.Interpreter
    root: tuple[str, ...]
    workspaces: Path  # as a sandbox's uid can reach them
    temporary: Path
    cgroups: Cgroups | None
    failed: tuple[str, ...]  # what was tried and does not work here

    @property
    def bounds_memory(self) -> bool:
        return self.cgroups is not None and "memory" in self.cgroups.parents

    def facts(self) -> Facts:
        return Facts(
            uids=(self.uids.start, self.uids.stop),
            mode=self.mode,
            bubblewrap=str(self.bubblewrap),
            python=self.interpreter.path,
            cgroups=self.cgroups.version if self.cgroups else None,
            controllers=tuple(sorted(self.cgroups.parents)) if self.cgroups else (),
            bounds_memory=self.bounds_memory,
            failed=self.failed,
        )

    def jail(self, repl_id: str, size: Size, egress: Egress) -> Jail:
        """Raises ValueError or OSError: there is no such workspace, or its owner is none for a sandbox."""
        workspace = self.workspaces / checked(repl_id)
        uid = workspace.lstat().st_uid
        if uid not in self.uids:
            raise ValueError(f"the workspace of {repl_id} belongs to uid {uid}, which no sandbox here may have")
        environment = {"LANG": "C.UTF-8", "DEVEX_RLIMITS": rlimits(size)}
        if egress is not Egress.NONE:
            environment["DEVEX_EGRESS"] = _EGRESS
        return Jail(
            mode=self.mode,
            uid=uid,
            root=self.root,
            etc=self.layout.runtime / _ETC,
            agent=self.layout.runtime / _AGENT,
            sockets=self.layout.sockets(repl_id),
            workspace=workspace,
            tmp=None if self.bounds_memory else self.temporary / repl_id,
            environment=environment,
            command=(self.interpreter.path, "-I", "-S", AGENT),
        )

    def probe(self) -> Jail:
        """A throw-away sandbox like the real ones."""
        return replace(_probe(self.layout, self.root, self.uids.start), mode=self.mode)


def prepare(layout: Layout) -> Host:
    """Run on the launcher's main thread. Raises system.Unusable or OSError: no sandbox can be made here."""
    claimed = uids.claim(layout)
    private = os.geteuid() != 0 or reach.own_mounts()
    interpreter = system.interpreter(layout)
    etc.build(layout.runtime / _ETC, source=Path("/etc"))
    agent.install(layout.runtime / _AGENT, interpreter.path)
    try:
        workspaces = reach.made_reachable(layout.workspaces, layout.runtime / "workspaces")
        temporary = reach.made_reachable(layout.temporary, layout.runtime / "tmp")
    except OSError as error:
        why = "" if private else " and mounting is not allowed"
        action = "Keep the data in a folder that other users may pass through, such as /var/lib/devex."
        raise system.Unusable(f"Sandboxes cannot reach {layout.data}{why}.", action) from error
    root = system.root_arguments(interpreter, Path("/"))
    works, failed = modes.detect(system.bubblewraps(layout), _probe(layout, root, claimed.start))
    ours = Path("/proc/self")
    found = cgroups.find(layout.group_prefix, own=(ours / "cgroup").read_text(), mounts=(ours / "mounts").read_text())
    if found:
        found.sweep()
    return Host(
        layout=layout,
        uids=claimed,
        mode=works.mode,
        bubblewrap=works.bubblewrap,
        interpreter=interpreter,
        root=root,
        workspaces=workspaces,
        temporary=temporary,
        cgroups=found,
        failed=tuple(f"{attempt.mode} with {attempt.bubblewrap}: {attempt.failure}" for attempt in failed),
    )


def clear(layout: Layout) -> None:
    """Remove what `prepare` and the sandboxes' sockets have left, as far as it can be removed."""
    try:
        for name in _REACHED:
            reach.let_go(layout.runtime / name)
        for name in _BUILT:
            shutil.rmtree(layout.runtime / name, ignore_errors=True)
        layout.runtime.rmdir()
    except OSError:
        pass  # it goes with the next reboot


def _probe(layout: Layout, root: tuple[str, ...], uid: int) -> Jail:
    """As real as it can be without a REPL: the same folders, the same filter, a uid of a sandbox."""
    folder = layout.runtime / _PROBE
    folder.mkdir(exist_ok=True)
    uids.give(folder, uid)
    return Jail(
        mode=Mode.USER,
        uid=uid,
        root=root,
        etc=layout.runtime / _ETC,
        agent=layout.runtime / _AGENT,
        sockets=folder,
        workspace=folder,
        tmp=None,
        environment={},
        command=("/bin/true",),
    )
