"""All programs of scripts in one REPL: started, found again after the agent was away, ended with their connections."""

import asyncio
import posixpath
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from runner.errors import DevexError
from runner.protocol.errors import ProtocolError
from runner.protocol.messages import (
    Close,
    Exited,
    FromAgent,
    FromProxy,
    Hello,
    InputTaken,
    Open,
    Opened,
    OpenFailed,
    Output,
)
from runner.proxy.execs.program import Running
from runner.proxy.execs.wanted import Wanted
from runner.proxy.link import AgentLink
from runner.proxy.terminals.terminal import LOST, Exit, clamp
from runner.workspace.paths import display

EXECS: Final = 16  # at a time: each may hold 1 MiB of output in the agent, and half a MiB here
ANSWER_S: Final = 10.0  # for the agent to be there, and for it to start a program
GONE_S: Final = 10.0  # an agent that has not come back by then is not coming: its programs have ended
DEFAULT_SIZE: Final = (80, 24)


class Execs:
    """`on_output` is called when a program has written something."""

    def __init__(
        self, link: AgentLink, environment: Mapping[str, str], cwd: str, *, on_output: Callable[[], None]
    ) -> None:
        self._link = link
        self._environment = environment
        self._cwd = cwd
        self._on_output = on_output
        self._by_channel: dict[int, Running] = {}
        self._answers: dict[int, asyncio.Future[str | None]] = {}
        self._gone: asyncio.TimerHandle | None = None

    async def open(self, wanted: Wanted) -> Running:
        """Start its program; who calls this also closes it. DevexError."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._link.ready.wait()
        except TimeoutError:
            raise DevexError(
                "no_agent", "The sandbox does not answer.", "Stop the REPL and start it again.", status=503,
                retryable=True,
            ) from None  # fmt: skip
        if len(self._by_channel) >= EXECS:
            message = f"{EXECS} commands run through the API already."
            raise DevexError("too_many", message, "Wait until one has ended.", status=429, retryable=True)
        channel = secrets.randbits(32)  # an agent may still know channels of a proxy before us
        name = f"exec-{secrets.token_hex(8)}"
        running = Running(channel, name, tty=wanted.tty is not None, send=self._send)
        self._by_channel[channel] = running
        reason: str | None = "nothing was answered"
        try:
            reason = await self._answer(self._opening(running, wanted))
        finally:
            if reason is not None:
                self.close(running)
        if reason is not None:
            message = f"The program could not be started: {display(reason)[:200]}."
            raise DevexError("not_started", message, "Check the command and try again.", status=502, retryable=True)
        if wanted.timeout_s is not None:
            running.limit(wanted.timeout_s)
        return running

    def _opening(self, running: Running, wanted: Wanted) -> Open:
        term = {"TERM": "xterm-256color", "COLORTERM": "truecolor"} if wanted.tty else {"TERM": "dumb"}
        return Open(
            running.channel,
            running.name,
            wanted.argv,
            posixpath.join(self._cwd, wanted.cwd),
            {**self._environment, **term, **wanted.environment},
            *clamp(*(wanted.tty or DEFAULT_SIZE)),
            piped=wanted.tty is None,
        )

    async def _answer(self, opening: Open) -> str | None:
        """Why it was not started, None when it was."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._answers[opening.channel] = answer
        try:
            self._link.send(opening)
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            return "the sandbox does not answer"
        except ProtocolError as error:
            return str(error)
        finally:
            del self._answers[opening.channel]

    def close(self, running: Running) -> None:
        """End it and forget it: SIGHUP, and SIGKILL 2 s later, to its process group."""
        if self._by_channel.pop(running.channel, None) is not None:
            running.close()
            self._link.send(Close(running.channel))

    async def writable(self) -> None:
        """Until the agent reads what it is sent."""
        await self._link.writable.wait()

    # What the agent says

    def hello(self, hello: Hello) -> Hello:
        """-> what it says of others."""
        if self._gone:
            self._gone.cancel()
            self._gone = None
        claimed = {(state.channel, state.terminal) for state in hello.terminals}
        for running in self._by_channel.values():
            if running.channel in self._answers:
                continue
            if (running.channel, running.name) in claimed:
                running.resumed()
            else:
                running.ended(LOST)
        ours = {(running.channel, running.name) for running in self._by_channel.values()}
        others = tuple(state for state in hello.terminals if (state.channel, state.terminal) not in ours)
        return Hello(hello.version, hello.pid, others)

    def message(self, message: FromAgent) -> bool:
        """Whether it is about one of ours. ProtocolError."""
        if isinstance(message, InputTaken):  # nobody else's; perhaps of one that is closed
            if running := self._by_channel.get(message.channel):
                running.input_taken(message.upto)
            return True
        if not isinstance(message, Output | Exited | Opened | OpenFailed):
            return False
        running = self._by_channel.get(message.channel)
        if running is None:
            return False
        match message:
            case Output(_, offset, data):
                running.output(offset, data)
                self._on_output()
            case Exited(_, status, signum, peak_bytes):
                running.ended(Exit(status, signum, peak_bytes=peak_bytes or None))
            case Opened():
                self._answered(message.channel, None)
            case OpenFailed(_, reason):
                self._answered(message.channel, reason or "no reason is given")
        return True

    def lost(self) -> None:
        """The agent is away. It may come back."""
        for channel in self._answers:
            self._answered(channel, "the sandbox is gone")
        for running in self._by_channel.values():
            running.lost()
        self._gone = asyncio.get_running_loop().call_later(GONE_S, self._give_up)

    def _give_up(self) -> None:
        for running in self._by_channel.values():
            running.ended(LOST)

    def leave(self) -> None:
        """The proxy stops, and with it what it runs for scripts: the next one has it ended."""
        if self._gone:
            self._gone.cancel()
        for channel in self._answers:
            self._answered(channel, "the server is stopping")
        for running in self._by_channel.values():
            running.leave()

    # Parts

    def _answered(self, channel: int, reason: str | None) -> None:
        answer = self._answers.get(channel)
        if answer and not answer.done():
            answer.set_result(reason)

    def _send(self, message: FromProxy) -> None:
        self._link.send(message)
