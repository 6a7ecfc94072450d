"""The physical limits: a PTY and a sandbox with nothing of DEVEX around them."""

import os
import select
import signal
import subprocess
import time

import ptyprocess

SHELL = ("/bin/bash", "--norc", "--noprofile", "-i")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PS1": "$ ", "TERM": "xterm-256color", "LANG": "C.UTF-8"}


class BarePty:
    """A shell on a PTY, spoken to directly."""

    def __init__(self) -> None:
        self._shell = ptyprocess.PtyProcess.spawn(list(SHELL), env=ENVIRONMENT, dimensions=(24, 80))
        self.master: int = self._shell.fd

    def until(self, text: bytes, timeout_s: float = 10) -> bytes:
        """Read until `text` has come."""
        seen = b""
        deadline = time.monotonic() + timeout_s
        while text not in seen:
            left = deadline - time.monotonic()
            assert left > 0, f"no {text!r} in {seen[-200:]!r}"
            if select.select([self.master], [], [], left)[0]:
                seen += os.read(self.master, 65536)
        return seen

    def write(self, data: bytes) -> None:
        """Type."""
        os.write(self.master, data)

    def close(self) -> None:
        """End the shell."""
        self._shell.kill(signal.SIGKILL)
        self._shell.wait()
        self._shell.close()


def flood_mb_s(command: bytes, size_bytes: int) -> float:
    """MB/s a reader that does nothing else gets from `command`, which prints about `size_bytes`."""
    terminal = BarePty()
    try:
        terminal.until(b"$ ")
        terminal.write(command + b"; echo d''one\n")
        started = time.perf_counter()
        seen, tail = 0, b""
        while b"done" not in tail:
            data = os.read(terminal.master, 65536)
            seen += len(data)
            tail = (tail + data)[-16:]
        return size_bytes / 1e6 / (time.perf_counter() - started)
    finally:
        terminal.close()


def sandbox_ms() -> float:
    """Milliseconds for bubblewrap to start a shell that prints one line, with DEVEX's namespaces and no agent."""
    command = [
        "bwrap",
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-net",
        "--uid",
        "1000",
    ]
    command += ["--gid", "1000", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]
    command += ["--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "/bin/bash", "-c", "echo 42"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    return (time.perf_counter() - started) * 1000
