"""What the proxy asks for, done: the one place that holds the programs and the streams."""

from __future__ import annotations

import os

from runner.agent import egress, limits
from runner.agent.link import Link
from runner.agent.loop import Loop
from runner.agent.piped import Piped
from runner.agent.ports import PortWatch
from runner.agent.posix_signals import SIGTERM, signal
from runner.agent.relay import Dialing
from runner.agent.terminal import Terminal
from runner.protocol.messages import (
    MAX_REASON_CHARACTERS,
    MAX_TERMINALS,
    VERSION,
    Close,
    Connect,
    Credit,
    EndInput,
    Foreground,
    Hello,
    Input,
    Inquire,
    Open,
    OpenFailed,
    Ping,
    Pong,
    Resize,
    Resume,
    Signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

    from runner.agent.program import Program
    from runner.protocol.messages import FromProxy

SOCKET_PATH = "/run/devex/agent.sock"
MAX_DIALLED = 128  # streams, of two descriptors each; the proxy keeps to 64


class Agent:
    def __init__(self, path: str, way_out: str = "") -> None:
        """`way_out`: see egress.VARIABLE."""
        self._path = path
        # By channel; the one that last had its turn to send at the end.
        self._programs: dict[int, Program] = {}
        self._streams = 0
        self._loop = Loop()
        self._link = Link(self._loop, path, hello=self._hello, received=self._received, changed=self._link_changed)
        ports = {egress.Egress(self._loop, way_out).port} if way_out else set()
        self._ports = PortWatch(self._loop, self._link.send, hidden=frozenset(ports))
        self._up = False

    def run(self) -> None:
        """For ever."""
        self._loop.on_child(self._reap)
        self._link.dial()
        self._loop.run()

    def _hello(self) -> Hello:
        return Hello(VERSION, os.getpid(), tuple(program.state for program in self._programs.values()))

    def _link_changed(self) -> None:
        if self._link.up != self._up:
            self._up = self._link.up
            if self._up:
                self._ports.report_again()
            else:
                for program in self._programs.values():
                    program.detach()
            return
        for channel, program in list(self._programs.items()):
            if not self._link.has_room:
                break
            self._programs[channel] = self._programs.pop(channel)
            program.pump()

    def _reap(self) -> None:
        """Also orphans, when this is the first process of its pid namespace."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for program in self._programs.values():
                if program.pid == pid:
                    program.reaped(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)

    def _received(self, message: FromProxy) -> None:
        match message:
            case Input():
                self._input(message)
            case EndInput():
                if program := self._programs.get(message.channel):
                    program.end_input()
            case Credit():
                if program := self._programs.get(message.channel):
                    program.grant(message.upto)
            case Resize():
                if program := self._programs.get(message.channel):
                    program.resize(message.cols, message.rows)
            case Signal():
                if program := self._programs.get(message.channel):
                    program.signal(message.signum)
            case Resume():
                if program := self._programs.get(message.channel):
                    program.attach(message.after)
            case Inquire():
                program = self._programs.get(message.channel)
                self._link.send(Foreground(message.channel, program.foreground_name() if program else ""))
            case Close():
                if program := self._programs.pop(message.channel, None):
                    program.hang_up()
            case Open():
                self._open(message)
            case Connect():
                self._connect(message)
            case Ping():
                self._link.send(Pong(message.n))

    def _input(self, message: Input) -> None:
        if program := self._programs.get(message.channel):
            program.write(message.data)
            if b"\r" in message.data:
                self._ports.soon()

    def _open(self, request: Open) -> None:
        if request.channel in self._programs or len(self._programs) >= MAX_TERMINALS:
            self._link.send(OpenFailed(request.channel, "too many terminals are open, or the channel is taken"))
            return
        try:
            make = Piped if request.piped else Terminal
            self._programs[request.channel] = make(self._loop, self._link, request)
        except (OSError, ValueError) as error:
            self._link.send(OpenFailed(request.channel, str(error)[:MAX_REASON_CHARACTERS]))
            return
        self._ports.soon()

    def _connect(self, request: Connect) -> None:
        self._streams += 1
        if self._streams > MAX_DIALLED:
            request = Connect(request.stream, 0)  # nobody listens there: refused in the ordinary way
        Dialing(self._loop, self._path, request.stream, request.port, self._stream_closed)

    def _stream_closed(self) -> None:
        self._streams -= 1


def main(argv: list[str]) -> None:
    """argv: [program, socket path]. Ends by SIGTERM only; the kernel then hangs up every terminal."""
    limits.apply(limits.parse(os.environ.pop(limits.VARIABLE, "")))
    os.umask(0o022)  # the launcher's is tighter; files a program makes are as anywhere else
    signal(SIGTERM, _end)  # the first process of a pid namespace has no default action
    Agent(argv[1] if len(argv) > 1 else SOCKET_PATH, os.environ.pop(egress.VARIABLE, "")).run()


def _end(signum: int, frame: FrameType | None) -> None:
    os._exit(0)
