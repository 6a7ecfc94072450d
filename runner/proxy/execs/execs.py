"""All programs of scripts in one REPL: started, found again after the agent was away, ended with their connections."""

import posixpath
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from runner.errors import DevexError
from runner.protocol.messages import (
    Close,
    Exited,
    FromAgent,
    Hello,
    InputTaken,
    Open,
    Opened,
    OpenFailed,
    Output,
)
from runner.proxy.execs.exec import Exec
from runner.proxy.execs.wanted import Wanted
from runner.proxy.link import AgentLink
from runner.proxy.openings import Openings
from runner.proxy.terminals.exits import LOST, Exit
from runner.proxy.terminals.screen import DEFAULT_SIZE, TERMINAL_ENVIRONMENT, clamp

EXECS: Final = 16  # at a time: each may hold 1 MiB of output in the agent, and half a MiB here


class Execs:
    """`on_output` is called when a program has written something."""

    def __init__(
        self, link: AgentLink, environment: Mapping[str, str], cwd: str, *, on_output: Callable[[], None]
    ) -> None:
        self._link = link
        self._environment = environment
        self._cwd = cwd
        self._on_output = on_output
        self._by_channel: dict[int, Exec] = {}
        self._openings = Openings(link)

    async def open(self, wanted: Wanted) -> Exec:
        """Start its program; who calls this also closes it. DevexError."""
        await self._openings.until_agent()
        if len(self._by_channel) >= EXECS:
            message = f"{EXECS} commands run through the API already."
            raise DevexError("too_many", message, "Wait until one has ended.", status=429, retryable=True)
        channel = secrets.randbits(32)  # an agent may still know channels of a proxy before us
        name = f"exec-{secrets.token_hex(8)}"
        exec_ = Exec(channel, name, tty=wanted.tty is not None, send=self._link.send)
        self._by_channel[channel] = exec_
        try:
            await self._openings.ask(self._opening(exec_, wanted))
        except BaseException:
            self.close(exec_)
            raise
        if wanted.timeout_s is not None:
            exec_.limit(wanted.timeout_s)
        return exec_

    def _opening(self, exec_: Exec, wanted: Wanted) -> Open:
        term = TERMINAL_ENVIRONMENT if wanted.tty else {"TERM": "dumb"}
        return Open(
            exec_.channel,
            exec_.name,
            wanted.argv,
            posixpath.join(self._cwd, wanted.cwd),
            {**self._environment, **term, **wanted.environment},
            *clamp(*(wanted.tty or DEFAULT_SIZE)),
            piped=wanted.tty is None,
        )

    def close(self, exec_: Exec) -> None:
        """End it and forget it: SIGHUP, and SIGKILL 2 s later, to its process group."""
        if self._by_channel.pop(exec_.channel, None) is not None:
            exec_.close()
            self._link.send(Close(exec_.channel))

    async def writable(self) -> None:
        """Until the agent reads what it is sent."""
        await self._link.writable.wait()

    # What the agent says

    def hello(self, hello: Hello) -> Hello:
        """-> what it says of others."""
        claimed = {(state.channel, state.terminal) for state in hello.terminals}
        for exec_ in self._by_channel.values():
            if exec_.channel in self._openings:
                continue
            if (exec_.channel, exec_.name) in claimed:
                exec_.resumed()
            else:
                exec_.ended(LOST)
        ours = {(exec_.channel, exec_.name) for exec_ in self._by_channel.values()}
        others = tuple(state for state in hello.terminals if (state.channel, state.terminal) not in ours)
        return Hello(hello.version, hello.pid, others)

    def message(self, message: FromAgent) -> bool:
        """Whether it is about one of ours. ProtocolError."""
        if isinstance(message, InputTaken):  # nobody else's; perhaps of one that is closed
            if exec_ := self._by_channel.get(message.channel):
                exec_.input_taken(message.upto)
            return True
        if not isinstance(message, Output | Exited | Opened | OpenFailed):
            return False
        exec_ = self._by_channel.get(message.channel)
        if exec_ is None:
            return False
        match message:
            case Output(_, offset, data):
                exec_.output(offset, data)
                self._on_output()
            case Exited(_, status, signum, peak_bytes):
                exec_.ended(Exit(status, signum, peak_bytes=peak_bytes or None))
            case Opened():
                self._openings.answered(message.channel, None)
            case OpenFailed(_, reason):
                self._openings.answered(message.channel, reason or "no reason is given")
        return True

    def lost(self) -> None:
        """The agent is away. It may come back."""
        self._openings.answer_all("the sandbox is gone")
        for exec_ in self._by_channel.values():
            exec_.lost()

    def gone(self) -> None:
        """The agent is not coming back."""
        for exec_ in self._by_channel.values():
            exec_.ended(LOST)

    def leave(self) -> None:
        """The proxy stops, and with it what it runs for scripts: the next one has it ended."""
        self._openings.answer_all("the server is stopping")
        for exec_ in self._by_channel.values():
            exec_.leave()
