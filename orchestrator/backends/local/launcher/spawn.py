"""Starting bubblewrap so that user code begins only after its uid is checked and its limits are set.

Call `spawn` on the thread that lives as long as the launcher: die-with-parent is bound to the thread that forked.
"""

import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

from orchestrator.backends.local.launcher import etc, seccomp
from orchestrator.backends.local.launcher.bubblewrap import Descriptors, Jail, Mode, arguments, command, packed
from orchestrator.backends.local.launcher.processes import kernel_uids

_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
_UMASK = 0o077
_STATUS_BYTES = 4096


class WrongUid(Exception):
    """The sandbox would run as a uid it must not have."""


@dataclass(slots=True)
class Spawned:
    """bubblewrap, waiting. The three descriptors are the caller's to close; `release` closes `block`."""

    process: subprocess.Popen[bytes]
    status: int  # JSON lines, not blocking; the first one says the sandbox's first process
    block: int
    errors: int  # what bubblewrap and the agent say, not blocking

    def release(self) -> None:
        """Let the command run."""
        os.write(self.block, b"x")
        os.close(self.block)
        self.block = -1

    def close(self) -> None:
        for descriptor in (self.status, self.block, self.errors):
            if descriptor >= 0:
                os.close(descriptor)
        self.status = self.block = self.errors = -1


def spawn(bubblewrap: Path, jail: Jail) -> Spawned:
    """Raises OSError: it cannot even be executed. Whether it works is told through `status`."""
    inherited: list[int] = []  # closed here once the child has its own
    kept: list[int] = []
    try:
        status_reading, status_writing = _pipe(kept, inherited)
        errors_reading, errors_writing = _pipe(kept, inherited)
        block_reading, block_writing = os.pipe()
        inherited.append(block_reading)
        kept.append(block_writing)
        filter_fd = _memory_file("seccomp", seccomp.program(platform.machine()), inherited)
        passwd = None
        if jail.mode is Mode.ROOT_SETUID:
            passwd = _memory_file("passwd", etc.passwd(jail.uid).encode(), inherited)
        given = Descriptors(seccomp=filter_fd, status=status_writing, block=block_reading, passwd=passwd)
        arguments_fd = _memory_file("arguments", packed(arguments(jail, given)), inherited)
        drop = jail.mode is Mode.ROOT
        process = subprocess.Popen(
            [str(bubblewrap), "--args", str(arguments_fd), "--", *command(jail)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors_writing,
            pass_fds=[fd for fd in inherited if fd != errors_writing],
            user=jail.uid if drop else None,
            group=jail.uid if drop else None,
            extra_groups=[] if drop else None,
            umask=_UMASK,
            start_new_session=True,
            cwd="/",
            env=_ENVIRONMENT,
        )
    except BaseException:
        for descriptor in kept:
            os.close(descriptor)
        raise
    finally:
        for descriptor in inherited:
            os.close(descriptor)
    os.set_blocking(status_reading, False)
    os.set_blocking(errors_reading, False)
    return Spawned(process, status_reading, block_writing, errors_reading)


def first_pid(line: bytes, jail: Jail) -> int:
    """The first status line -> the sandbox's first process, its uid checked. Raises WrongUid."""
    pid = int(json.loads(line)["child-pid"])
    check(kernel_uids(pid), jail)
    return pid


def check(uids: set[int], jail: Jail) -> None:
    """Raises WrongUid: as the host's uid 0 user code could write /proc/sys, so nothing of it may run.

    Where root drops inside the sandbox it still is 0 here; there the proxy refuses an agent of another uid than the
    sandbox's.
    """
    if jail.mode is not Mode.ROOT_SETUID and (uids != {jail.uid} or 0 in uids):
        raise WrongUid(f"the sandbox has the uids {sorted(uids)} and must have {jail.uid}")


def _pipe(reading: list[int], writing: list[int]) -> tuple[int, int]:
    ours, theirs = os.pipe()
    reading.append(ours)
    writing.append(theirs)
    return ours, theirs


def _memory_file(name: str, content: bytes, opened: list[int]) -> int:
    descriptor = os.memfd_create(name)
    opened.append(descriptor)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def drained(descriptor: int, limit_bytes: int = _STATUS_BYTES) -> bytes | None:
    """What can be read now; b"" at the end, None when there is nothing yet."""
    try:
        return os.read(descriptor, limit_bytes)
    except BlockingIOError:
        return None
