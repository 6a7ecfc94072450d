"""Which kind of sandbox works here, found out by running a program in each."""

import os
import select
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from orchestrator.backends.local.launcher.bubblewrap import Jail, Mode
from orchestrator.backends.local.launcher.spawn import Spawned, WrongUid, drained, first_pid, spawn
from orchestrator.backends.local.launcher.system import Unusable

_TRY_S = 10.0  # a start takes 0.01 s; a machine that needs this long is not usable
_SAID_BYTES = 16 * 1024  # less than a pipe holds, so that nobody waits for us to read


class Outcome(NamedTuple):
    code: int  # -1: it did not come to an exit code
    said: str


@dataclass(frozen=True, slots=True)
class Attempt:
    mode: Mode
    bubblewrap: Path
    failure: str | None  # None: it works


def modes_for(euid: int) -> tuple[Mode, ...]:
    """Best first."""
    return (Mode.ROOT, Mode.ROOT_SETUID) if euid == 0 else (Mode.USER,)


def detect(bubblewraps: Iterable[Path], jail: Jail) -> tuple[Attempt, list[Attempt]]:
    """-> (the first that works, those that do not); `jail`'s mode and command are replaced. Raises Unusable."""
    failed: list[Attempt] = []
    candidates = list(bubblewraps)
    if not candidates:
        raise Unusable("bubblewrap is not installed.", "Install it: apt-get install bubblewrap.")
    for mode in modes_for(os.geteuid()):
        for bubblewrap in candidates:
            code, said = run(bubblewrap, replace(jail, mode=mode, command=("/bin/true",)))
            failure = (said or f"it ended with {code}") if code else None
            attempt = Attempt(mode, bubblewrap, failure)
            if failure is None:
                return attempt, failed
            failed.append(attempt)
    raise Unusable(
        f"No sandbox can be made on this machine: {failed[-1].failure}.",
        advice(" ".join(str(a.failure) for a in failed), by_apparmor=_is_restricted_by_apparmor()),
    )


def _is_restricted_by_apparmor() -> bool:
    setting = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    return setting.exists() and setting.read_text().strip() == "1"


def advice(failure: str, *, by_apparmor: bool) -> str:
    """The one thing that helps against bubblewrap's complaint."""
    if by_apparmor:
        return "Let bubblewrap use user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0."
    if "mount proc" in failure:
        return "Run DEVEX on the machine itself, or in a container started with --privileged."
    if "ermission" in failure or "not permitted" in failure or "No space left" in failure:
        return "Allow user namespaces: sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1."
    return "Try it by hand: bwrap --unshare-all --ro-bind / / --proc /proc /bin/true."


def run(bubblewrap: Path, jail: Jail) -> Outcome:
    """Run the jail's command to its end; it may say a little on standard error. Blocks."""
    try:
        spawned = spawn(bubblewrap, jail)
    except OSError as error:
        return Outcome(-1, str(error))
    try:
        line = _wait(spawned)
        if line:
            first_pid(line, jail)
            spawned.release()
        code = spawned.process.wait(_TRY_S)
        return Outcome(code, (drained(spawned.errors, _SAID_BYTES) or b"").decode(errors="replace").strip())
    except (WrongUid, subprocess.TimeoutExpired, OSError) as error:
        return Outcome(-1, str(error))
    finally:
        spawned.process.kill()
        spawned.process.wait()
        spawned.close()


def _wait(spawned: Spawned) -> bytes:
    """The first status line, which bubblewrap writes in pieces; without its end when there will be none."""
    line = b""
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([spawned.status], [], [], _TRY_S)
        piece = drained(spawned.status, 1) if ready else b""
        if not piece:
            return b""
        line += piece
    return line
