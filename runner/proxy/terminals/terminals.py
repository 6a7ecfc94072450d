"""All terminals of one REPL: opened for people and for runs, found again in what an agent says after a reconnect."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from starlette.status import WS_1012_SERVICE_RESTART

from runner.errors import DevexError
from runner.protocol.errors import ProtocolError
from runner.protocol.messages import (
    MAX_INPUT_BYTES,
    Close,
    Credit,
    Exited,
    Foreground,
    FromAgent,
    Hello,
    Input,
    Inquire,
    Open,
    Opened,
    OpenFailed,
    Output,
    Resize,
    Resume,
    Signal,
    TerminalState,
)
from runner.proxy.link import AgentLink
from runner.proxy.openings import Openings
from runner.proxy.records.about import UNKNOWN, Origin, Subject
from runner.proxy.records.records import Records
from runner.proxy.terminals.exits import LOST, Exit
from runner.proxy.terminals.ids import Kind, kind_of, new_id, number_of
from runner.proxy.terminals.screen import DEFAULT_SIZE, TERMINAL_ENVIRONMENT
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.titles import checked_title, first_title
from runner.proxy.terminals.wire import NO_SUCH_TERMINAL
from runner.workspace.paths import display

SHELLS: Final = 16  # open at a time; each may hold 1 MiB of output here and as much in the agent
ADOPTED: Final = 32  # found in what an agent says: more than SHELLS and a run or two; each lie costs 1 MiB here
ENDED: Final = 8  # shells that have ended, the newest, stay readable
FOREGROUND_S: Final = 2.0  # for the agent to say what runs; who closes a terminal is not kept longer
HELD_BYTES: Final = 64 * 1024  # typed while the agent is away
MAX_OFFSET: Final = 1 << 62  # a terabyte a second for 50 days


class Terminals:
    """`on_changed` is called when the list or an exit changes, `on_output` when a program has written something."""

    def __init__(
        self,
        link: AgentLink,
        records: Records,
        environment: Mapping[str, str],
        cwd: str,
        *,
        on_changed: Callable[[], None],
        on_output: Callable[[], None],
    ) -> None:
        self.environment = environment
        self._link = link
        self._records = records
        self._cwd = cwd
        self._on_changed = on_changed
        self._on_output = on_output
        self._by_id: dict[str, Terminal] = {}  # in the order in which they were opened
        self._by_channel: dict[int, Terminal] = {}
        self._openings = Openings(link)
        self._asked: dict[int, asyncio.Future[str]] = {}  # what runs in the foreground
        self._held: dict[str, bytearray] = {}
        self._settled = asyncio.Event()  # the agent is there, or is not coming
        self._closed_meanwhile: set[str] = set()  # of an agent that is away

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, terminal_id: str) -> Terminal:
        """DevexError 404."""
        if found := self._by_id.get(terminal_id):
            return found
        raise DevexError("no_terminal", "This terminal does not exist any more.", "Open a new one.", status=404)

    async def get_waiting(self, terminal_id: str) -> Terminal:
        """As `get`; while the agent is away it is waited for: a proxy that has just come up knows no terminals."""
        if terminal_id not in self._by_id:
            with suppress(DevexError):
                await self._openings.until_agent()
        return self.get(terminal_id)

    def of_kind(self, kind: Kind) -> list[Terminal]:
        """The oldest first."""
        return [terminal for terminal in self._by_id.values() if terminal.kind == kind]

    def listing(self) -> list[dict[str, Any]]:
        return [terminal.json() for terminal in self._by_id.values()]

    # What people and runs want

    async def open(
        self,
        kind: Kind,
        argv: Sequence[str],
        *,
        number: int | None = None,
        size: tuple[int, int] = DEFAULT_SIZE,
        environment: Mapping[str, str] | None = None,
        origin: Origin = UNKNOWN,
    ) -> Terminal:
        """Start a program on a new terminal, with `environment` besides the common one. DevexError."""
        await self._openings.until_agent()
        if kind == "shell":  # a run takes the place of the one before
            self._make_room()
        if number is None:
            taken = {number_of(one.id) for one in self.of_kind(kind)}
            number = next(n for n in range(1, len(taken) + 2) if n not in taken)
        terminal_id = new_id(kind, number)
        terminal = self._add(terminal_id, kind, self._free_channel(), size=size)
        env = {**self.environment, **TERMINAL_ENVIRONMENT, **(environment or {})}
        try:
            opened = self._openings.ask(
                Open(terminal.channel, terminal_id, tuple(argv), self._cwd, env, *terminal.size, piped=False)
            )
            terminal.settle_credit()
            await opened
        except BaseException:
            self.close(terminal)
            raise
        subject = Subject(terminal.id, kind, terminal.title)
        terminal.record(self._records.begin(subject, terminal.ring, terminal.size, origin))
        self._on_changed()
        return terminal

    def _make_room(self) -> None:
        """For a shell: the oldest that have ended go. DevexError."""
        shells = self.of_kind("shell")
        ended = [one for one in shells if one.exit and not one.attachments]
        surplus = max(len(ended) - ENDED, len(shells) + 1 - SHELLS, 0)
        for terminal in ended[:surplus]:
            self.close(terminal)
        if len(self.of_kind("shell")) >= SHELLS:
            message = f"{SHELLS} terminals are open already."
            raise DevexError("too_many", message, "Close one of them first.", status=429)

    def close(self, terminal: Terminal) -> None:
        """End its program and forget it."""
        if self._by_id.pop(terminal.id, None) is None:
            return
        del self._by_channel[terminal.channel]
        self._held.pop(terminal.id, None)
        self._link.send(Close(terminal.channel))
        if not self._link.connected:
            self._closed_meanwhile.add(terminal.id)
        terminal.close(NO_SUCH_TERMINAL)
        self._on_changed()

    async def busy_with(self, terminal: Terminal) -> str:
        """The program that a shell waits for; "" when it waits for none, or nobody knows."""
        if terminal.exit or not self._link.connected:
            return ""
        asked = self._asked.get(terminal.channel)
        if asked is None:
            asked = self._asked[terminal.channel] = asyncio.get_running_loop().create_future()
            self._link.send(Inquire(terminal.channel))
        try:
            async with asyncio.timeout(FOREGROUND_S):
                return display(await asyncio.shield(asked))
        except TimeoutError:
            return ""
        finally:
            self._asked.pop(terminal.channel, None)

    def rename(self, terminal: Terminal, title: str) -> None:
        """ "": as it was called at first. DevexError."""
        if terminal.kind != "shell":
            raise DevexError("not_named", "Only shells have names.", "Choose a shell.", status=409)
        terminal.title = checked_title(title) or first_title(terminal.id)
        if terminal.recording:
            self._records.rename(terminal.recording, terminal.title)
        self._on_changed()

    async def until_room(self, terminal: Terminal, count: int) -> None:
        """Until so many keys may be typed: while the agent is away few of them are held, and who types more waits."""
        while self._is_away(terminal) and len(self._held.get(terminal.id, b"")) + count > HELD_BYTES:
            await self._settled.wait()  # the link's GONE_S at most

    def _is_away(self, terminal: Terminal) -> bool:
        return not (self._link.connected or terminal.exit or terminal.closed)

    def type(self, terminal: Terminal, data: bytes) -> None:
        """Keys. While the agent is away they are held: see `until_room`."""
        if terminal.exit or terminal.closed is not None:
            return
        if not self._link.connected:
            self._held.setdefault(terminal.id, bytearray()).extend(data)
            return
        for at in range(0, len(data), MAX_INPUT_BYTES):
            self._link.send(Input(terminal.channel, data[at : at + MAX_INPUT_BYTES]))

    def signal(self, terminal: Terminal, signum: int) -> None:
        """To the foreground process group."""
        if not terminal.exit:
            self._link.send(Signal(terminal.channel, signum))

    # What the agent says: claims, each checked for what it could do

    def hello(self, hello: Hello) -> None:
        """ProtocolError."""
        claimed = {state.terminal: state for state in hello.terminals}
        if len(claimed) < len(hello.terminals) or len({one.channel for one in hello.terminals}) < len(claimed):
            raise ProtocolError("a terminal is listed twice")
        for terminal in list(self._by_id.values()):
            state = claimed.pop(terminal.id, None)
            if state is None or state.channel != terminal.channel:
                self._lose(terminal)
            else:
                self._resume(terminal)
        for state in claimed.values():
            self._adopt(state)
        self._closed_meanwhile.clear()
        self._records.all_claimed()
        self._settled.set()
        self._on_changed()

    def message(self, message: FromAgent) -> None:
        """ProtocolError."""
        match message:
            case Output(channel, offset, data):
                if terminal := self._by_channel.get(channel):
                    if offset + len(data) > MAX_OFFSET:
                        raise ProtocolError("an impossible offset")
                    terminal.output(offset, data)
                    self._on_output()
            case Exited(channel, status, signum, peak_bytes):
                if (terminal := self._by_channel.get(channel)) and terminal.exit is None:
                    terminal.exited(Exit(status, signum, peak_bytes=peak_bytes or None))
                    self._on_changed()
            case Opened(channel):
                self._openings.answered(channel, None)
            case Foreground(channel, name):
                if (asked := self._asked.get(channel)) and not asked.done():
                    asked.set_result(name)
            case OpenFailed(channel, reason):
                self._openings.answered(channel, reason or "no reason is given")
            case _:
                raise ProtocolError(f"{type(message).__name__} is not expected here")

    def lost(self) -> None:
        """The agent is away. It may come back: its programs run on without us."""
        self._settled.clear()
        self._openings.answer_all("the sandbox is gone")

    def gone(self) -> None:
        """The agent is not coming back, and its programs have ended."""
        for terminal in self._by_id.values():
            self._lose(terminal)
        self._settled.set()
        self._on_changed()

    def leave(self) -> None:
        """The proxy stops. The programs run on; who is attached shall come back."""
        self._openings.answer_all("the server is stopping")
        for terminal in self._by_id.values():
            terminal.close(WS_1012_SERVICE_RESTART)
        self._settled.set()

    def _lose(self, terminal: Terminal) -> None:
        """Its keys too, should it come back after all: nobody knows by then what they would do."""
        self._held.pop(terminal.id, None)
        if terminal.exit is None:
            terminal.exited(LOST)

    def _resume(self, terminal: Terminal) -> None:
        self._link.send(Resume(terminal.channel, terminal.ring.end))
        terminal.resumed()
        if held := self._held.pop(terminal.id, None):
            self.type(terminal, bytes(held))

    def _adopt(self, state: TerminalState) -> None:
        """Opened by a proxy before us. What does not fit is ended."""
        kind = kind_of(state.terminal)
        fits = state.start <= state.end <= MAX_OFFSET and state.channel not in self._by_channel
        fits = fits and len(self) < ADOPTED and state.terminal not in self._closed_meanwhile
        if kind is None or not fits:
            self._link.send(Close(state.channel))
            return
        terminal = self._add(state.terminal, kind, state.channel, found=state)
        if kind == "run":  # its number is when it started
            terminal.started_s -= max(0.0, time.time() - number_of(terminal.id) / 1000)
        if state.exit_status is None or self._records.is_known(terminal.id):  # else its record was removed
            subject = Subject(terminal.id, kind, terminal.title)
            terminal.record(self._records.go_on(subject, terminal.ring, terminal.size))
            terminal.take_title_of_record()
        self._link.send(Resume(state.channel, state.start))
        terminal.settle_credit()

    def _add(
        self,
        terminal_id: str,
        kind: Kind,
        channel: int,
        *,
        size: tuple[int, int] = DEFAULT_SIZE,
        found: TerminalState | None = None,
    ) -> Terminal:
        terminal = Terminal(
            terminal_id,
            kind,
            channel,
            size,
            start=found.start if found else 0,
            end=found.end if found else 0,
            grant=lambda upto: self._link.send(Credit(channel, upto)),
            resize=lambda cols, rows: self._link.send(Resize(channel, cols, rows)),
        )
        self._by_id[terminal_id] = self._by_channel[channel] = terminal
        return terminal

    def _free_channel(self) -> int:
        """Random, because an agent may still know channels of a proxy before us."""
        while (channel := secrets.randbits(32)) in self._by_channel:
            pass
        return channel
