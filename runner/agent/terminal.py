"""A terminal: one PTY, the program on it, and the ring of what it wrote. Outlives connections."""

from __future__ import annotations

import os
import termios

from runner.agent.loop import READ, WRITE
from runner.agent.outflow import Outflow
from runner.agent.posix_signals import RESETTABLE, SIGCONT, SIGHUP, SIGKILL
from runner.protocol.messages import Exited, Open, Opened, Output, TerminalState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.agent.link import Link
    from runner.agent.loop import Loop

# What a program that does not read can be sent ahead; a larger paste loses its end, and the terminal says so.
MAX_PENDING_INPUT_BYTES = 4 << 20
HANG_UP_S = 2.0  # between SIGHUP and SIGKILL
_LOST_INPUT = b"\r\n[The program does not read its input: some of what was sent to it is lost.]\r\n"
_PROGRAM_OOM_SCORE = b"500"  # when memory runs out, the program is to go before the agent
_IUTF8 = 0o40000  # erase whole characters in cooked mode; `termios` has no name for it
_IFLAG = 0


class Terminal:
    """The PTY is read as far as its `Outflow` has room, so a program waits for who watches it."""

    def __init__(self, loop: Loop, link: Link, request: Open) -> None:
        """OSError, ValueError when the program cannot be started."""
        self.channel = request.channel
        self.terminal = request.terminal
        self._loop = loop
        self._link = link
        self._out = Outflow()
        self._input = bytearray()
        self._losing_input = False
        self._status: int | None = None  # as os.waitstatus_to_exitcode says it, once the program is reaped
        self._peak_bytes = 0
        self._drained = False
        self._told = False
        # The slave stays open here until the program is reaped: a program that closes its terminal is no hang-up.
        self._master, self._slave = os.openpty()
        try:
            self.pid = _spawn(self._slave, request)
        except BaseException:
            self._close_pty()
            self._out.ring.close()
            raise
        os.set_blocking(self._master, False)
        link.send(Opened(self.channel, self.pid))
        self._watch()

    @property
    def state(self) -> TerminalState:
        status = _shell_status(self._status) if self._drained and self._status is not None else None
        ring = self._out.ring
        return TerminalState(self.channel, self.terminal, ring.start, ring.end, status)

    def write(self, data: bytes) -> None:
        """Type `data`; what the program does not take yet waits."""
        if self._status is not None:
            return
        if len(self._input) + len(data) > MAX_PENDING_INPUT_BYTES:
            if not self._losing_input:
                self._losing_input = True
                self._out.append(_LOST_INPUT)
                self.pump()
            return
        self._losing_input = False
        self._input += data
        self._flush_input()
        if self._input:
            self._watch()

    def resize(self, cols: int, rows: int) -> None:
        if not self._drained:
            try:
                termios.tcsetwinsize(self._master, (rows, cols))
            except termios.error:  # hung up
                pass

    def signal(self, signum: int) -> None:
        """To the foreground process group, or to the program when there is none."""
        if self._status is None:
            _kill_group(self._foreground() or self.pid, signum)

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
        """The proxy is gone: run freely into the ring."""
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
        """The program has ended; what it wrote may still be in the PTY."""
        self._status = status
        self._peak_bytes = peak_bytes
        self._input.clear()
        os.close(self._slave)
        self._slave = -1
        self._read()
        self.pump()

    def hang_up(self) -> None:
        """End the program, SIGHUP now and SIGKILL later, and forget what it wrote."""
        groups = {self.pid, self._foreground() or self.pid} if self._status is None else set()
        self._out.detach()
        if not self._drained:
            self._close_pty()
        self._drained = True
        self._out.ring.close()
        for group in groups:
            _kill_group(group, SIGHUP)
            _kill_group(group, SIGCONT)

        def kill() -> None:
            for group in groups:
                _kill_group(group, SIGKILL)

        if groups:
            self._loop.later(HANG_UP_S, kill)

    def _exited(self, status: int) -> Exited:
        return Exited(self.channel, _shell_status(status), max(-status, 0), self._peak_bytes)

    def _watch(self) -> None:
        if self._drained:
            return
        events = (READ if self._out.room_bytes(self._link.has_room) > 0 else 0) | (WRITE if self._input else 0)
        if events:
            self._loop.watch(self._master, events, self._on_ready)
        else:
            self._loop.forget(self._master)

    def _on_ready(self, events: int) -> None:
        if events & WRITE:
            self._flush_input()
        if events & ~WRITE:
            self._read()
        self.pump()

    def _read(self) -> None:
        """Until the PTY is empty or one Output is full: a key's echo goes at once, a flood in large frames."""
        allowed = self._out.room_bytes(self._link.has_room)
        while allowed > 0 and not self._drained:
            try:
                data = os.read(self._master, allowed)
            except OSError:  # EAGAIN: empty; EIO: hung up, at the latest a moment before the program is reaped
                data = b""
            if not data:
                if self._status is not None:  # the kernel has handed over all that was written before the end
                    self._close_pty()
                    self._drained = True
                return
            self._out.append(data)
            allowed -= len(data)

    def _flush_input(self) -> None:
        try:
            written = os.write(self._master, self._input) if self._input else 0
        except BlockingIOError:
            return
        except OSError:  # EIO: hung up, nobody will read it
            written = len(self._input)
        del self._input[:written]

    def _foreground(self) -> int:
        """The foreground process group, 0 when there is none."""
        try:
            group = os.tcgetpgrp(self._master)
        except OSError:
            return 0
        return group if group > 1 and group != os.getpgrp() else 0

    def _close_pty(self) -> None:
        self._loop.forget(self._master)
        os.close(self._master)
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


def _spawn(slave: int, request: Open) -> int:
    """Start the program as leader of a session whose controlling terminal is `slave` -> pid."""
    _set_up(slave, request.cols, request.rows)
    # A session leader without a controlling terminal gets the one it opens: no code of ours runs in a forked copy.
    tty = [(os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave), os.O_RDWR, 0)]
    tty += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]  # type: ignore[list-item]
    os.chdir(request.cwd)
    try:
        pid = os.posix_spawn(
            _executable(request), request.argv, request.env, file_actions=tty, setsid=True, setsigdef=RESETTABLE
        )
    finally:
        os.chdir("/")
    try:
        with open(f"/proc/{pid}/oom_score_adj", "wb", buffering=0) as score:
            score.write(_PROGRAM_OOM_SCORE)
    except OSError:  # gone already, or no such file here: then it is as likely to be killed as the agent
        pass
    return pid


def _set_up(slave: int, cols: int, rows: int) -> None:
    try:
        termios.tcsetwinsize(slave, (rows, cols))
        attributes = termios.tcgetattr(slave)
        attributes[_IFLAG] |= _IUTF8
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
    except termios.error as error:  # no OSError, though it is one
        raise OSError(*error.args) from None


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


def _kill_group(group: int, signum: int) -> None:
    try:
        os.killpg(group, signum)
    except OSError:  # gone, or no such signal
        pass


def _shell_status(status: int) -> int:
    return status if status >= 0 else 128 - status
