"""What a sandbox on this machine really refuses, tried in a throw-away one."""

import json
import platform
from dataclasses import replace
from pathlib import Path
from typing import Final

from orchestrator.backends.local.launcher import modes, seccomp
from orchestrator.backends.local.launcher.host import Host

_NEWUSER, _SIGCHLD = 0x10000000, 17
_TIOCSTI, _HIGH_BIT = 0x5412, 1 << 32
_AF_ALG, _AF_VSOCK, _SOCK_STREAM, _SOCK_SEQPACKET = 38, 40, 1, 5
_READ_IMPLIES_EXEC = 0x0400000
_X32_GETPID = 0x40000000 + 39
_REFUSED_CALLS: Final = (
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "fsopen", "setns", "bpf", "perf_event_open"),
    *("userfaultfd", "io_uring_setup", "add_key", "keyctl", "open_by_handle_at", "pidfd_getfd", "syslog"),
)


def attempts(machine: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """-> {what: ((system call, arguments...), the errno it must end with)}"""
    number = seccomp.numbers(machine)
    table: dict[str, tuple[tuple[int, ...], str]] = {
        name: ((number[name], 0, 0, 0, 0, 0), "EPERM") for name in _REFUSED_CALLS
    }
    table |= {
        "unshare a user namespace": ((number["unshare"], _NEWUSER), "EPERM"),
        "clone a user namespace": ((number["clone"], _NEWUSER | _SIGCHLD, 0, 0, 0, 0), "EPERM"),
        "clone3": ((number["clone3"], 0, 0), "ENOSYS"),
        "TIOCSTI": ((number["ioctl"], 0, _TIOCSTI, 0), "EPERM"),
        "TIOCSTI with a high bit": ((number["ioctl"], 0, _HIGH_BIT | _TIOCSTI, 0), "EPERM"),
        "socket AF_ALG": ((number["socket"], _AF_ALG, _SOCK_SEQPACKET, 0), "EAFNOSUPPORT"),
        "socket AF_VSOCK": ((number["socket"], _AF_VSOCK, _SOCK_STREAM, 0), "EAFNOSUPPORT"),
        "personality": ((number["personality"], _READ_IMPLIES_EXEC), "EPERM"),
    }
    if machine == "x86_64":
        table["x32"] = ((_X32_GETPID,), "ENOSYS")
    return table


def run(host: Host) -> dict[str, str]:
    """-> what was not refused as it must be: {what: how it ended}. Empty is good.

    Blocks for about 0.1 s, on the launcher's main thread like every start."""
    table = attempts(platform.machine())
    script = Path(__file__).with_name("probe_script.py").read_text()
    asked = json.dumps({name: words for name, (words, _) in table.items()})
    command = (host.interpreter.path, "-I", "-S", "-c", script, asked)
    outcome = modes.run(host.bubblewrap, replace(host.probe(), command=command))
    try:
        found: dict[str, str] = json.loads(outcome.said)
    except ValueError:
        return {"the attempts": outcome.said or "they could not be made"}
    expected = {name: ending for name, (_, ending) in table.items()} | {"foreign ABI": "SIGSYS"}
    return {name: found.get(name, "untried") for name, ending in expected.items() if found.get(name) != ending}
