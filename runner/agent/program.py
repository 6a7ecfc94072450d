"""A program and the ring of what it wrote: on a terminal (terminal.py) or on pipes (piped.py). Outlives connections."""

from __future__ import annotations

import os

from runner.agent.outflow import Outflow
from runner.agent.posix_signals import RESETTABLE, SIGCONT, SIGHUP, SIGKILL
from runner.protocol.messages import Exited, Open, Opened, Output, TerminalState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.agent.link import Link
    from runner.agent.loop import Loop

HANG_UP_S = 2.0  # between SIGHUP and SIGKILL
_PROGRAM_OOM_SCORE = b"500"  # when memory runs out, the program is to go before the agent


class Program:
    """What it writes is read as far as its `Outflow` has room."""

    def __init__(self, loop: Loop, link: Link, request: Open) -> None:
        """OSError, ValueError when the program cannot be started."""
        self.channel = request.channel
        self.terminal = request.terminal
        self._loop = loop
        self._link = link
        self._out = Outflow()
        self._input = bytearray()
        self._status: int | None = None  # as os.waitstatus_to_exitcode says it, once the program is reaped
        self._peak_bytes = 0
        self._drained = False
        self._told = False
        try:
            self.pid = self._start(request)
        except BaseException:
            self._close()
            self._out.ring.close()
            raise
        link.send(Opened(self.channel, self.pid))
        self._watch()

    @property
    def state(self) -> TerminalState:
        status = _shell_status(self._status) if self._drained and self._status is not None else None
        ring = self._out.ring
        return TerminalState(self.channel, self.terminal, ring.start, ring.end, status)

    def write(self, data: bytes) -> None:
        """Input; what the program does not take yet waits."""
        raise NotImplementedError

    def end_input(self) -> None:
        """No more input comes: it reads end of file behind what it was sent."""
        raise NotImplementedError

    def resize(self, cols: int, rows: int) -> None:
        """The terminal's."""
        raise NotImplementedError

    def signal(self, signum: int) -> None:
        raise NotImplementedError

    def foreground_name(self) -> str:
        """Of the program that this one, a shell, waits for; "" for none."""
        return ""

    def grant(self, upto: int) -> None:
        """Output may be sent up to this offset."""
        self._out.grant(upto)
        self.pump()

    def attach(self, after: int) -> None:
        """Send again from offset `after` on; then Exited again."""
        self._out.attach(after)
        self._told = False
        self.pump()

    def detach(self) -> None:
        """The proxy is gone."""
        self._out.detach()
        self._watch()

    def pump(self) -> None:
        """Send what the ring holds and the credit and the link allow, then the exit."""
        while self._link.has_room and (piece := self._out.next_piece()):
            self._link.send(Output(self.channel, *piece))
        if self._drained and self._out.is_sent and not self._told:
            self._told = True
            self._link.send(self._exited(self._status or 0))
        self._watch()

    def reaped(self, status: int, peak_bytes: int) -> None:
        """The program has ended; what it wrote may still be on its way."""
        if self._status is not None:  # of another program, which got the number of one that has ended
            return
        self._status = status
        self._peak_bytes = peak_bytes
        self._input.clear()
        self._last_output()
        self.pump()

    def hang_up(self) -> None:
        """End the program, SIGHUP now and SIGKILL later, and forget what it wrote."""
        groups = self._groups() if self._status is None else set()
        self._out.detach()
        self._close()
        self._drained = True
        self._out.ring.close()
        for group in groups:
            kill_group(group, SIGHUP)
            kill_group(group, SIGCONT)

        def kill() -> None:
            for group in groups:
                kill_group(group, SIGKILL)

        if groups:
            self._loop.later(HANG_UP_S, kill)

    # What differs

    def _start(self, request: Open) -> int:
        """-> pid"""
        raise NotImplementedError

    def _watch(self) -> None:
        """Have the loop tell what can be read or written now."""
        raise NotImplementedError

    def _last_output(self) -> None:
        """The program is reaped: take what it has left."""
        raise NotImplementedError

    def _groups(self) -> set[int]:
        """The process groups that end with it."""
        return {self.pid}

    def _close(self) -> None:
        """Give its descriptors back. Harmless when that is done."""
        raise NotImplementedError

    def _exited(self, status: int) -> Exited:
        return Exited(self.channel, _shell_status(status), max(-status, 0), self._peak_bytes)


def spawn(request: Open, file_actions: Iterable[tuple[object, ...]]) -> int:
    """Start the program as leader of a session -> pid. OSError, ValueError."""
    os.chdir(request.cwd)
    try:
        pid = os.posix_spawn(
            _executable(request),
            request.argv,
            request.env,
            file_actions=file_actions,  # type: ignore[arg-type]
            setsid=True,
            setsigdef=RESETTABLE,
        )
    finally:
        os.chdir("/")
    try:
        with open(f"/proc/{pid}/oom_score_adj", "wb", buffering=0) as score:
            score.write(_PROGRAM_OOM_SCORE)
    except OSError:  # gone already, or no such file here: then it is as likely to be killed as the agent
        pass
    return pid


def _executable(request: Open) -> str:
    """Looked up in the program's own PATH, not in the agent's."""
    if not request.argv:
        raise ValueError("no program is named")
    name = request.argv[0]
    if "/" in name:
        return name
    for directory in request.env.get("PATH", os.defpath).split(":"):
        candidate = f"{directory or '.'}/{name}"
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    raise FileNotFoundError(f"{name}: command not found")


def kill_group(group: int, signum: int) -> None:
    try:
        os.killpg(group, signum)
    except OSError:  # gone, or no such signal
        pass


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status
