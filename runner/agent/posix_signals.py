"""The C module behind `signal`, which itself makes enums of every constant: 3 ms of the agent's start."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, set_wakeup_fd, signal
else:
    from _signal import SIGCHLD, SIGCONT, SIGHUP, SIGKILL, SIGSTOP, SIGTERM, set_wakeup_fd, signal

# Whatever the launcher ignores (nohup, a shell's `&`), programs start with every signal at its default.
RESETTABLE = tuple(number for number in range(1, 32) if number not in (SIGKILL, SIGSTOP))

__all__ = ["RESETTABLE", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGTERM", "set_wakeup_fd", "signal"]
