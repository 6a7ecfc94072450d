"""A terminal: one PTY and the program on it."""

from __future__ import annotations

import os
import termios

from runner.agent.loop import READ, WRITE
from runner.agent.program import Program, kill_group, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.agent.link import Link
    from runner.agent.loop import Loop
    from runner.protocol.messages import Open

# What a program that does not read can be sent ahead; a larger paste loses its end, and the terminal says so.
MAX_PENDING_INPUT_BYTES = 4 << 20
_LOST_INPUT = b"\r\n[The program does not read its input: some of what was sent to it is lost.]\r\n"
_IUTF8 = 0o40000  # erase whole characters in cooked mode; `termios` has no name for it
_IFLAG, _LFLAG, _CC = 0, 3, 6
_END_OF_FILE = b"\x04"  # what a terminal's line discipline takes for it, unless told otherwise
_NO_KEY = b"\x00"  # what stands there for a signal that no key sends
_FULL_READ_BYTES = 1024  # a read that gives less has taken all there was; in a flood one gives 4 KiB
_COMM_CHARACTERS = 15  # what the kernel keeps of a name


class Terminal(Program):
    """The PTY is read as far as its `Outflow` has room, so a program waits for who watches it."""

    def __init__(self, loop: Loop, link: Link, request: Open) -> None:
        self._losing_input = False
        # The slave stays open here until the program is reaped: a program that closes its terminal is no hang-up.
        self._master, self._slave = os.openpty()
        super().__init__(loop, link, request)

    def _start(self, request: Open) -> int:
        _set_up(self._slave, request.cols, request.rows)
        # A session leader without a controlling terminal gets the one it opens: no code of ours runs in a forked copy.
        tty = (os.POSIX_SPAWN_OPEN, 0, os.ttyname(self._slave), os.O_RDWR, 0)
        pid = spawn(request, [tty, (os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)])
        os.set_blocking(self._master, False)
        return pid

    def write(self, data: bytes) -> None:
        if self._status is not None:
            return
        if self._input:
            self._make_way(data)
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

    def end_input(self) -> None:
        self.write(_END_OF_FILE)

    def resize(self, cols: int, rows: int) -> None:
        if not self._drained:
            try:
                termios.tcsetwinsize(self._master, (rows, cols))
            except termios.error:  # hung up
                pass

    def signal(self, signum: int) -> None:
        """To the foreground process group, or to the program when there is none."""
        if self._status is None:
            kill_group(self._foreground() or self.pid, signum)

    def foreground_name(self) -> str:
        group = self._foreground() if self._status is None else 0
        if group in {0, self.pid}:
            return ""
        try:
            with open(f"/proc/{group}/comm", errors="replace") as comm:
                return comm.read(_COMM_CHARACTERS).strip() or "a program"
        except OSError:  # its leader has ended, the others run on
            return "a program"

    def _make_way(self, data: bytes) -> None:
        """For Ctrl-C, Ctrl-\\ and Ctrl-Z: what waits before one is thrown away, as the line discipline does when it
        sees one. A program that does not read would never let it see any."""
        try:
            attributes = termios.tcgetattr(self._slave)
            keys = [attributes[_CC][key] for key in (termios.VINTR, termios.VQUIT, termios.VSUSP)]
            if (
                data in keys
                and data != _NO_KEY
                and attributes[_LFLAG] & (termios.ISIG | termios.NOFLSH) == termios.ISIG
            ):
                self._input.clear()
                termios.tcflush(self._slave, termios.TCIFLUSH)
        except termios.error:  # hung up
            pass

    def _last_output(self) -> None:
        os.close(self._slave)
        self._slave = -1
        self._read()

    def _groups(self) -> set[int]:
        return {self.pid, self._foreground() or self.pid}

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
        """Until the PTY has no more or one Output is full: a key's echo goes at once, a flood in large frames."""
        allowed = self._out.room_bytes(self._link.has_room)
        while allowed > 0 and not self._drained:
            try:
                data = os.read(self._master, allowed)
            except OSError:  # EAGAIN: empty; EIO: hung up, at the latest a moment before the program is reaped
                data = b""
            if not data:
                if self._status is not None:  # the kernel has handed over all that was written before the end
                    self._close()
                    self._drained = True
                return
            self._out.append(data)
            if len(data) < _FULL_READ_BYTES and self._status is None:
                return
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

    def _close(self) -> None:
        if self._master >= 0:
            self._loop.forget(self._master)
            os.close(self._master)
            self._master = -1
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


def _set_up(slave: int, cols: int, rows: int) -> None:
    try:
        termios.tcsetwinsize(slave, (rows, cols))
        attributes = termios.tcgetattr(slave)
        attributes[_IFLAG] |= _IUTF8
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
    except termios.error as error:  # no OSError, though it is one
        raise OSError(*error.args) from None
