"""The process that starts the launcher, waits for its end, and then ends whatever it has left.

bubblewrap ties a sandbox to its parent's life only once it has set it up: a launcher that is killed in the middle of a
start would leave a sandbox that nobody knows of. Orphans of the launcher become the warden's children (prctl(2),
PR_SET_CHILD_SUBREAPER); when the warden itself is killed the launcher dies with it, and the sandboxes with that.
"""

import ctypes
import os
import signal

from orchestrator.backends.local.launcher.processes import children_of, signal_all

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


def become_launcher() -> None:
    """Returns in a child process, the launcher; the caller's own process ends here, after it. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    warden = os.getpid()
    launcher = os.fork()
    if launcher == 0:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != warden:
            os._exit(1)
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):  # they are the launcher's
        os.dup2(nothing, standard)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # whoever ends a whole group: the launcher first
        signal.signal(signum, signal.SIG_IGN)
    while os.wait()[0] != launcher:
        pass  # an orphan that has ended
    _end_children()
    os._exit(0)


def _end_children() -> None:
    while True:
        signal_all(children_of(os.getpid()), signal.SIGKILL)
        try:
            os.wait()  # and take over the children that this one leaves
        except ChildProcessError:
            return


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
