"""A program without a terminal: its standard input, output and errors are pipes, so bytes stay as they are."""

from __future__ import annotations

import fcntl
import os
import sys
import termios

from runner.agent.loop import READ, WRITE
from runner.agent.program import Program, kill_group, spawn
from runner.protocol.frames import HEADER_BYTES, encode_frame
from runner.protocol.messages import STDERR, STDOUT, InputTaken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.agent.link import Link
    from runner.agent.loop import Loop
    from runner.protocol.messages import Open


class Piped(Program):
    """What it writes is kept as frames of kind STDOUT and STDERR; offsets count their bytes, headers too.

    Nothing is lost: while no proxy is there, the pipes are left full and the program waits. It has ended when its
    process has: what that leaves in the background is not waited for, and writes into pipes that nobody reads.
    """

    def __init__(self, loop: Loop, link: Link, request: Open) -> None:
        self._taken = 0  # bytes of input that the program's pipe has taken
        self._input_ends = False
        self._stdin = -1
        self._outputs: dict[int, int] = {}  # descriptor -> kind of its frames
        self._ready: dict[int, Callable[[int], None]] = {}
        self._left: dict[int, int] = {}  # bytes that were still in each pipe when the program ended
        super().__init__(loop, link, request)

    def _start(self, request: Open) -> int:
        theirs: list[int] = []
        try:
            reading, self._stdin = os.pipe()
            theirs.append(reading)
            for kind in (STDOUT, STDERR):
                reading, writing = os.pipe()
                theirs.append(writing)
                self._outputs[reading] = kind
                self._ready[reading] = self._on_output(reading)
            pid = spawn(request, [(os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(theirs)])
        finally:
            for fd in theirs:
                os.close(fd)
        for fd in (self._stdin, *self._outputs):
            os.set_blocking(fd, False)
        return pid

    def attach(self, after: int) -> None:
        """Input that the program has not taken is sent again, too, and its end behind it."""
        self._input.clear()
        self._input_ends = False
        self._link.send(InputTaken(self.channel, self._taken))
        super().attach(after)

    def write(self, data: bytes) -> None:
        self._input += data  # bounded by the proxy, which knows what was taken
        self._flush_input()
        self._watch()

    def end_input(self) -> None:
        self._input_ends = True
        self._flush_input()

    def resize(self, cols: int, rows: int) -> None:
        """It has no terminal."""

    def signal(self, signum: int) -> None:
        """To its process group, also to what is left of that when it has ended itself."""
        kill_group(self.pid, signum)

    def _watch(self) -> None:
        reads = self._room_bytes() > 0
        for fd in self._outputs:
            if reads:
                self._loop.watch(fd, READ, self._ready[fd])
            else:
                self._loop.forget(fd)
        if self._stdin >= 0 and self._input:
            self._loop.watch(self._stdin, WRITE, self._on_room)
        elif self._stdin >= 0:
            self._loop.forget(self._stdin)  # or an end that nobody reads would be told all the time

    def _on_output(self, fd: int) -> Callable[[int], None]:
        def ready(events: int) -> None:
            self._read(fd)
            self.pump()

        return ready

    def _on_room(self, events: int) -> None:
        self._flush_input()
        self._watch()

    def _room_bytes(self) -> int:
        """How much may be read now; nothing when it is not positive."""
        return self._out.room_bytes(self._link.has_room) - HEADER_BYTES if self._out.attached else 0

    def _read(self, fd: int) -> None:
        """Once."""
        allowed = self._room_bytes()
        if fd not in self._outputs or allowed <= 0:
            return
        try:
            data = os.read(fd, min(allowed, self._left.get(fd, allowed)))
        except BlockingIOError:
            return
        if data:
            self._out.append(encode_frame(self._outputs[fd], data))
            if fd in self._left:
                self._left[fd] -= len(data)
        if not data or self._left.get(fd) == 0:
            self._close_output(fd)

    def _last_output(self) -> None:
        """What is in the pipes now, and not what its children write there from now on: that might never end."""
        self._close_input()
        for fd in list(self._outputs):
            size = bytearray(4)
            fcntl.ioctl(fd, termios.FIONREAD, size)
            self._left[fd] = int.from_bytes(size, sys.byteorder)
            if not self._left[fd]:
                self._close_output(fd)
        self._drained = not self._outputs

    def _flush_input(self) -> None:
        while self._input and self._stdin >= 0:
            try:
                written = os.write(self._stdin, self._input)
            except BlockingIOError:
                break
            except OSError:  # EPIPE: nobody will read it
                self._close_input()
                break
            self._take(written)
        if self._stdin < 0:
            self._take(len(self._input))
        elif self._input_ends and not self._input:
            self._close_input()

    def _take(self, count: int) -> None:
        if count:
            del self._input[:count]
            self._taken += count
            if self._out.attached:  # else `attach` tells: the proxy sends again what is behind the first it hears
                self._link.send(InputTaken(self.channel, self._taken))

    def _close_input(self) -> None:
        if self._stdin >= 0:
            self._loop.forget(self._stdin)
            os.close(self._stdin)
            self._stdin = -1

    def _close_output(self, fd: int) -> None:
        self._loop.forget(fd)
        os.close(fd)
        del self._outputs[fd]
        self._drained = self._status is not None and not self._outputs

    def _close(self) -> None:
        self._close_input()
        for fd in list(self._outputs):
            self._close_output(fd)
