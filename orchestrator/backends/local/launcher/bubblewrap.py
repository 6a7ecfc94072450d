"""bubblewrap's argument list, as a pure function of what a sandbox shall see. Why each part: docs/security.md."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from orchestrator.backends.environment import SOCKETS, TMP, WORKSPACE
from orchestrator.backends.local.inside import AGENT

INSIDE_UID = 1000  # what programs see in a user namespace
VAR_TMP, SHM = "/var/tmp", "/dev/shm"  # noqa: S108 (the sandbox's own)
TMP_BYTES = 512 * 1024 * 1024  # of /tmp in memory, at most; a memory cgroup counts what is in it
SHM_BYTES = 256 * 1024 * 1024  # /dev/shm: Python's multiprocessing and databases
RUN_BYTES = 1024 * 1024  # /run is read-only before user code runs: room for its directories
SHELL_CHDIR = 'cd /workspace && exec "$@"'


class Mode(StrEnum):
    """How a sandbox is made here."""

    USER = "user"  # an ordinary user's user namespace: programs have that user's uid on the host
    ROOT = "root"  # root drops to a uid per sandbox, which then makes its user namespace
    ROOT_SETUID = "root-setuid"  # no user namespaces here: root makes the namespaces and drops to a uid inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Jail:
    """What one sandbox sees. Paths are the host's; `tmp` None is a tmpfs in memory."""

    mode: Mode
    uid: int  # on the host
    root: tuple[str, ...]  # arguments that make /usr and its links: `system.root_arguments`
    etc: Path
    agent: Path
    sockets: Path
    workspace: Path
    tmp: Path | None
    environment: Mapping[str, str]  # the agent's own; programs get theirs from the proxy
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptors:
    """Numbers that bwrap inherits."""

    seccomp: int
    status: int
    block: int
    passwd: int | None = None  # a /etc/passwd for this sandbox's uid


def arguments(jail: Jail, descriptors: Descriptors) -> list[str]:
    """-> what goes through --args; the command comes from `command`."""
    return [
        *_namespaces(jail),
        *("--hostname", "repl", "--die-with-parent", "--new-session", "--cap-drop", "ALL", *_capabilities(jail.mode)),
        "--clearenv",
        *(word for name, value in jail.environment.items() for word in ("--setenv", name, value)),
        *_files(jail, descriptors.passwd),
        *(("--chdir", WORKSPACE) if jail.mode is not Mode.ROOT_SETUID else ()),
        *("--seccomp", str(descriptors.seccomp)),
        *("--json-status-fd", str(descriptors.status), "--block-fd", str(descriptors.block)),
    ]


def command(jail: Jail) -> list[str]:
    """-> what bwrap executes: visible to every program inside, so it holds no host path."""
    if jail.mode is not Mode.ROOT_SETUID:
        return list(jail.command)
    uid = str(jail.uid)
    drop = ["--reuid", uid, "--regid", uid, "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    shell = ["/bin/sh", "-c", SHELL_CHDIR, "sh", *jail.command]  # root cannot always enter what belongs to the uid
    return ["/usr/bin/setpriv", *drop, "--ambient-caps=-all", "--no-new-privs", "--", *shell]


def packed(words: list[str]) -> bytes:
    """As --args reads them: host paths stay out of /proc/1/cmdline, which programs can read."""
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _namespaces(jail: Jail) -> list[str]:
    always = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net"]
    if jail.mode is Mode.ROOT_SETUID:
        return always
    inside = str(INSIDE_UID)
    return ["--unshare-user", "--disable-userns", "--uid", inside, "--gid", inside, *always]


def _capabilities(mode: Mode) -> list[str]:
    """setpriv needs these three until it has dropped everything."""
    needed = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP") if mode is Mode.ROOT_SETUID else ()
    return [word for capability in needed for word in ("--cap-add", capability)]


def _files(jail: Jail, passwd: int | None) -> list[str]:
    own_passwd = [] if passwd is None else ["--perms", "0644", "--ro-bind-data", str(passwd), "/etc/passwd"]
    tmp = ["--bind", str(jail.tmp), TMP] if jail.tmp else _tmpfs(TMP, TMP_BYTES, "1777")
    return [
        *jail.root,
        *("--ro-bind", str(jail.etc), "/etc", *own_passwd),
        *("--proc", "/proc", "--dev", "/dev"),
        *tmp,
        *_tmpfs(SHM, SHM_BYTES, "1777"),
        *_tmpfs("/run", RUN_BYTES, "0755"),
        *("--dir", "/var", "--symlink", "../tmp", VAR_TMP),
        # Parents that bubblewrap makes by itself are its uid's only.
        *("--dir", "/opt", "--ro-bind", str(jail.agent), str(Path(AGENT).parent)),
        *("--ro-bind", str(jail.sockets), SOCKETS),
        *("--bind", str(jail.workspace), WORKSPACE),
        # Behind every mount. /dev is a tmpfs without a size: writable, it would be memory without a limit.
        *("--remount-ro", "/dev", "--remount-ro", "/run", "--remount-ro", "/"),
    ]


def _tmpfs(path: str, size_bytes: int, mode: str) -> list[str]:
    return ["--size", str(size_bytes), "--perms", mode, "--tmpfs", path]
