"""Whatever is cut and whoever is slow: what a page shows is the output, but for marks that say how much left the ring,
and what is typed arrives once.

The real parts of agent, proxy and page (in node), and between them links and a clock that do what hypothesis thinks of.
"""

import asyncio
import json
import random
import subprocess
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from starlette.types import Message

from components import terminal as element
from runner.agent.link import OUT_BYTES
from runner.agent.outflow import Outflow
from runner.protocol.messages import (
    FREE_RUN,
    VERSION,
    Close,
    Credit,
    FromAgent,
    FromProxy,
    Hello,
    Open,
    Opened,
    Output,
    Resume,
    TerminalState,
)
from runner.proxy.link import AgentLink
from runner.proxy.records.disk import Disk
from runner.proxy.records.records import Records
from runner.proxy.terminals import wire
from runner.proxy.terminals.attachment import Attachment
from runner.proxy.terminals.routes import TerminalRoutes
from runner.proxy.terminals.terminal import Terminal
from runner.proxy.terminals.terminals import Terminals
from runner.proxy.terminals.window import MAX_WINDOW_BYTES
from runner.viewer import Viewer

NODE: Final = "/usr/bin/node"
NOWHERE: Final = Path("/nowhere")
TURNS: Final = 12  # of the loop, in which every task that has something to do has done it
SOCKETS_BYTES: Final = (1, 128 * 1024)  # on the way to a page before whoever sends waits
VIEWERS: Final = ("ada", "bob", "eve")
EXAMPLES: Final = 60  # 10 s; none is made smaller when one fails, which takes minutes
KEPT_BYTES: Final = 64 * 1024  # typed while away
ACK_MS: Final = 10
STALL_MS: Final = 6_000
HEALING_ROUNDS: Final = 400  # of ACK_MS each: less than STALL_MS, which would hide that somebody waits for ever
_PERIOD: Final = 1_000_003  # no divisor or multiple of any buffer's size
_TWICE: Final = random.Random(5).randbytes(_PERIOD) * 2


def written(start: int, end: int) -> bytes:
    """What the program writes there."""
    at = start % _PERIOD
    return b"".join(
        _TWICE[(at + done) % _PERIOD :][: min(_PERIOD, end - start - done)] for done in range(0, end - start, _PERIOD)
    )


class Agent:
    """A program that writes, its outflow, and what is on the way to the proxy."""

    def __init__(self) -> None:
        self.opened: Open | None = None
        self.out = Outflow()
        self.up = True
        self.others_fill_the_link = False
        self.unwritten = 0
        self.sent: deque[FromAgent] = deque()

    @property
    def _has_room(self) -> bool:
        if not self.up or self.others_fill_the_link:
            return False
        return sum(len(one.data) for one in self.sent if isinstance(one, Output)) < OUT_BYTES

    def pump(self) -> None:
        """As runner/agent/terminal.py does, with a PTY that is never empty before the program has nothing to write."""
        assert self.opened
        while True:
            while self._has_room and (piece := self.out.next_piece()):
                self.sent.append(Output(self.opened.channel, *piece))
            size = min(self.out.room_bytes(self._has_room), self.unwritten)
            if size <= 0:
                return
            self.out.append(written(self.out.ring.end, self.out.ring.end + size))
            self.unwritten -= size

    def hello(self) -> Hello:
        assert self.opened
        ring = self.out.ring
        state = TerminalState(self.opened.channel, self.opened.terminal, ring.start, ring.end, None)
        return Hello(VERSION, 1, (state,))

    def take(self, message: FromProxy) -> None:
        match message:
            case Open():
                self.opened = message
                self.sent.append(Opened(message.channel, 1))
            case Credit(_, upto):
                self.out.grant(upto)
            case Resume(_, after):
                self.out.attach(after)
            case Close():
                raise AssertionError("nobody closed it")
        self.pump()


class Link:
    """In the place of AgentLink: what is sent arrives when it is told to."""

    def __init__(self) -> None:
        self.connected = True
        self.ready, self.writable = asyncio.Event(), asyncio.Event()
        self.ready.set()
        self.writable.set()
        self.sent: deque[FromProxy] = deque()
        self.terminals: Terminals | None = None

    def send(self, message: FromProxy) -> None:
        if self.connected:
            self.sent.append(message)
            if isinstance(message, Credit) and self.terminals:
                self._check(message.upto)

    def _check(self, upto: int) -> None:
        [terminal] = self.terminals.of_kind("shell") if self.terminals else []
        paces = [one.acknowledged + one.window.size_bytes for one in terminal.attachments if not one.stalled]
        assert upto == max(paces, default=FREE_RUN)


class Page:
    """A viewer: what it shows, and the socket between it and the proxy."""

    def __init__(self) -> None:
        self.position = 0
        self.socket: Socket | None = None
        self.url: str | None = None  # wants to be connected there
        self.marks = 0
        self.is_ready = False
        self.typed: list[bytes] = []
        self.arrived = 0  # of those
        self.sent_upto = 0  # of all bytes typed
        self.told_bytes = 0  # that so many were taken
        self.doubtful_bytes = 0  # typed into a proxy that was killed

    def place(self, count: int) -> int:
        """Where that message ends, among all bytes typed."""
        return sum(map(len, self.typed[:count]))

    def arrives(self, message: bytes) -> None:
        """As typed, once and in order; but what a proxy took with it into its grave."""
        while self.typed[self.arrived] != message:
            self.skip_one()
        self.arrived += 1

    def skip_one(self) -> None:
        self.arrived += 1
        assert self.place(self.arrived) <= self.doubtful_bytes, "a key is lost, or came twice"

    @property
    def everything_typed_arrived(self) -> bool:
        while self.arrived < len(self.typed) and self.place(self.arrived + 1) <= self.doubtful_bytes:
            self.skip_one()
        return self.arrived == len(self.typed)


class Socket:
    """Both ways, as ASGI says it, in order; whoever sends waits for room."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self.to_page: deque[bytes] = deque()
        self.to_proxy: deque[Message] = deque()
        self.came: deque[Message] = deque([{"type": "websocket.connect"}])
        self.room, self.came_in = asyncio.Event(), asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.sent_upto: int | None = None
        self.acknowledged = 0

    async def receive(self) -> Message:
        while not self.came:
            self.came_in.clear()
            await self.came_in.wait()
        message = self.came.popleft()
        data = message.get("bytes") or b" "
        if data[0] == wire.ACK:
            self.acknowledged = max(self.acknowledged, wire.offset(data[1:]))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] != "websocket.send":
            return
        frame = message["bytes"]
        self.to_page.append(frame)
        if frame[0] == wire.OUTPUT:
            start = wire.offset(frame[1:9])
            if self.sent_upto != start:  # the first, or behind a gap: what came before is on the screen
                assert self.sent_upto in (None, self.acknowledged)
                self.acknowledged = start
            self.sent_upto = start + len(frame) - 9
            assert self.sent_upto - self.acknowledged <= MAX_WINDOW_BYTES
        while sum(map(len, self.to_page)) > self._size_bytes:
            self.room.clear()
            await self.room.wait()

    def come_in(self, message: Message) -> None:
        self.came.append(message)
        self.came_in.set()


class Node:
    """Real Attachments, see attachments_in_node.mjs."""

    def __init__(self) -> None:
        driver = Path(__file__).with_name("attachments_in_node.mjs")
        attachment = Path(element.__file__).with_name("attachment.mjs")
        self._process = subprocess.Popen(
            [NODE, str(driver), str(attachment)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, viewer: str, act: str, **about: Any) -> list[list[Any]]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"viewer": viewer, "do": act, **about}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver ended"
        happened: list[list[Any]] = json.loads(line)
        return happened

    def end(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


class Routes(TerminalRoutes):
    """Tell which page's keys arrive: they begin with its name."""

    pages: dict[str, Page]

    def _type(self, terminal: Terminal, attachment: Attachment, body: bytes) -> None:
        self.pages[body[:3].decode()].arrives(body)
        super()._type(terminal, attachment, body)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes when it is told to."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


class World(RuleBasedStateMachine):
    node: Node

    def __init__(self) -> None:
        super().__init__()
        self.loop = Clock()
        self.pages: dict[str, Page] = {}
        self.agent = Agent()
        self.late: list[Socket] = []  # that the network gave up, and the proxy did not
        self.patches = ExitStack()
        clock = SimpleNamespace(monotonic=self.loop.time, time=self.loop.time)
        for module in ("terminal", "attachment"):
            self.patches.enter_context(patch(f"runner.proxy.terminals.{module}.time", clock))

    def teardown(self) -> None:
        try:
            if self.agent.opened:
                self.heal()
        finally:
            self.node.do("", "reset")
            self.run(self._end())
            self.loop.close()
            self.patches.close()

    async def _end(self) -> None:
        for page in self.pages.values():
            await self._hang_up(page)
        for socket in self.late:
            await self._end_socket(socket)
        for task in asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}:
            task.cancel()

    # Turning the wheels

    def run(self, what: Any = None) -> None:
        async def turns() -> None:
            if what is not None:
                await what
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    def tell(self, viewer: str, act: str, **about: Any) -> None:
        """The page does something; what comes of it."""
        for name, what, *rest in self.node.do(viewer, act, **about):
            page = self.pages[name]
            match what, rest:
                case "connect", [url]:
                    page.url = url
                case "sent", [data] if page.socket:
                    page.socket.to_proxy.append({"type": "websocket.receive", "bytes": (sent := b64decode(data))})
                    if sent[0] == wire.INPUT:
                        page.sent_upto += len(sent) - 1
                case "left", _:
                    page.url = None
                    self.run(self._hang_up(page))
                case "shown", [data]:
                    shown = b64decode(data)
                    assert shown == written(page.position, page.position + len(shown))
                    page.position += len(shown)
                case "gap", [size]:
                    assert size > 0
                    page.position += size
                    page.marks += 1

    async def _hang_up(self, page: Page) -> None:
        socket, page.socket, page.is_ready = page.socket, None, False
        if socket:
            await self._end_socket(socket)

    async def _end_socket(self, socket: Socket) -> None:
        if socket.task:
            socket.come_in({"type": "websocket.disconnect", "code": 1006})
            socket.room.set()
            socket.to_page.clear()
            await asyncio.wait([socket.task])
            socket.task.result()

    async def _new_proxy(self) -> None:
        self.link = Link()
        records = Records(Disk(NOWHERE))  # not entered: nothing is written
        self.terminals = Terminals(
            cast(AgentLink, self.link), records, {}, "/", on_changed=lambda: None, on_output=lambda: None
        )
        self.routes = Routes(self.terminals, cast(AgentLink, self.link), ("sh",), on_key=lambda: None)
        self.routes.pages = self.pages

    @initialize()
    def begin(self) -> None:
        self.run(self._new_proxy())
        opening = self.loop.create_task(self.terminals.open("shell", ("sh",)))
        self.run()
        while self.link.sent:
            self.agent.take(self.link.sent.popleft())
        self.run(self._hear(1))
        assert opening.done()
        self.link.terminals = self.terminals

    async def _hear(self, count: int) -> None:
        for _ in range(min(count, len(self.agent.sent))):
            self.terminals.message(self.agent.sent.popleft())
        self.agent.others_fill_the_link = False
        self.agent.pump()

    # What happens

    @rule(size=st.sampled_from([1, 100, 5_000, 70_000, 400_000, 1_200_000]))
    def program_writes(self, size: int) -> None:
        self.agent.unwritten += size
        self.agent.pump()

    @rule(count=st.integers(1, 8))
    def proxy_hears(self, count: int) -> None:
        self.run(self._hear(count))

    @rule(count=st.integers(1, 8))
    def agent_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.link.sent))):
            self.agent.take(self.link.sent.popleft())

    @precondition(lambda self: self.agent.up)
    @rule()
    def link_breaks(self) -> None:
        self.run(self._lose())

    async def _lose(self) -> None:
        self.agent.up = self.link.connected = False
        self.agent.sent.clear()
        self.link.sent.clear()
        self.link.ready.clear()
        self.agent.out.detach()
        self.agent.pump()
        self.terminals.lost()

    @precondition(lambda self: not self.agent.up)
    @rule(writes=st.sampled_from([0, 1000, 2_000_000]), others_flood=st.booleans())
    def agent_dials(self, writes: int, others_flood: bool) -> None:
        """`writes`: between the Hello and the Resume."""
        self.run(self._dial(writes))
        self.agent.others_fill_the_link = others_flood

    async def _dial(self, writes: int) -> None:
        self.agent.up = self.link.connected = True
        self.link.ready.set()
        self.terminals.hello(self.agent.hello())
        self.link.terminals = self.terminals
        self.agent.unwritten += writes
        self.agent.pump()

    @rule()
    def proxy_is_killed(self) -> None:
        """And started again."""
        if self.agent.up:
            self.run(self._lose())
        for name, page in self.pages.items():
            page.doubtful_bytes = max(page.doubtful_bytes, page.sent_upto)
            if page.socket:
                self._cut(name)
        self.late_bytes_are_lost()
        self.run(self._new_proxy())

    @precondition(lambda self: len(self.pages) < len(VIEWERS))
    @rule(size_bytes=st.sampled_from(SOCKETS_BYTES))
    def somebody_comes(self, size_bytes: int) -> None:
        name = VIEWERS[len(self.pages)]
        self.pages[name] = Page()
        self.tell(name, "open")
        self.page_connects(name, size_bytes)

    @rule(viewer=st.sampled_from(VIEWERS), size_bytes=st.sampled_from(SOCKETS_BYTES))
    def page_connects(self, viewer: str, size_bytes: int) -> None:
        page = self.pages.get(viewer)
        if not page or not page.url or page.socket or not self.terminals.listing():
            return
        socket = page.socket = Socket(size_bytes)
        scope = {
            "type": "websocket",
            "path_params": {"id": self.terminals.listing()[0]["id"]},
            "query_string": page.url.partition("?")[2].encode(),
            "devex.viewer": Viewer("u1", viewer, True),
        }
        socket.task = self.loop.create_task(self.routes(scope, socket.receive, socket.send))
        self.run()
        self.tell(viewer, "accepted")

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8))
    def page_hears(self, viewer: str, count: int) -> None:
        for _ in range(count):
            page = self.pages.get(viewer)
            if page and page.socket and page.socket.to_page:
                frame = page.socket.to_page.popleft()
                page.socket.room.set()
                self._note(page, frame)
                self.tell(viewer, "frame", data=b64encode(frame).decode())
        self.run()

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8))
    def page_is_heard(self, viewer: str, count: int) -> None:
        page = self.pages.get(viewer)
        for _ in range(count):
            if page and page.socket and page.socket.to_proxy:
                page.socket.come_in(page.socket.to_proxy.popleft())
        self.run()

    @rule(viewer=st.sampled_from(VIEWERS), count=st.integers(1, 8))
    def page_renders(self, viewer: str, count: int) -> None:
        if viewer in self.pages:
            self.tell(viewer, "render", count=count)

    def _note(self, page: Page, frame: bytes) -> None:
        if frame[0] == wire.READY:
            page.is_ready = True
            page.sent_upto = page.told_bytes = json.loads(frame[1:])["taken"]
        elif frame[0] == wire.TAKEN:
            page.told_bytes = wire.offset(frame[1:])

    @rule(count=st.integers(1, 3), size=st.sampled_from([8, 8, 5_000, 16_000]))
    def people_type(self, count: int, size: int) -> None:
        for viewer, page in list(self.pages.items()) * count:
            message = (b"%s%05d" % (viewer.encode(), len(page.typed))).ljust(size, b".")
            if page.is_ready or page.place(len(page.typed)) - page.told_bytes + len(message) <= KEPT_BYTES:
                page.typed.append(message)
                self.tell(viewer, "type", data=b64encode(page.typed[-1]).decode())

    @rule(viewer=st.sampled_from(VIEWERS))
    def socket_is_cut(self, viewer: str) -> None:
        """What is on the way is lost, either way."""
        if (page := self.pages.get(viewer)) and page.socket:
            self._cut(viewer)

    @rule(viewer=st.sampled_from(VIEWERS))
    def socket_is_swallowed(self, viewer: str) -> None:
        """The page gives it up; the proxy does not, and may yet get what is on the way."""
        if (page := self.pages.get(viewer)) and (socket := page.socket):
            self.late.append(socket)
            page.socket, page.url, page.is_ready = None, None, False
            self.tell(viewer, "cut")

    @rule(heard=st.integers(0, 3), told=st.booleans(), arrive=st.booleans())
    def people_type_into_a_black_hole(self, heard: int, told: bool, arrive: bool) -> None:
        """And come back; what was on the way is lost, or arrives afterwards."""
        for viewer in self.pages:
            self.page_hears(viewer, 8)
        self.people_type(3, 8)
        for viewer in self.pages:
            self.page_is_heard(viewer, heard)
            self.page_hears(viewer, 8 if told else 0)
            self.socket_is_swallowed(viewer)
        self.time_passes(500)
        for viewer in self.pages:
            self.page_connects(viewer, SOCKETS_BYTES[-1])
            self.page_hears(viewer, 1)  # READY
            self.page_is_heard(viewer, heard)
        if arrive:
            self.late_bytes_arrive()
        else:
            self.late_bytes_are_lost()

    @rule()
    def late_bytes_arrive(self) -> None:
        for socket in self.late:
            while socket.to_proxy:
                socket.come_in(socket.to_proxy.popleft())
        self.run()

    @rule()
    def late_bytes_are_lost(self) -> None:
        while self.late:
            self.run(self._end_socket(self.late.pop()))

    def _cut(self, viewer: str) -> None:
        page = self.pages[viewer]
        page.url = None
        self.run(self._hang_up(page))
        self.tell(viewer, "cut")

    @rule(ms=st.sampled_from([1, ACK_MS, 500, STALL_MS]))
    def time_passes(self, ms: int) -> None:
        self.loop.now_s += ms / 1000
        self.run()
        self.tell("", "advance", ms=ms)

    @rule()
    def all_is_well_for_a_while(self) -> None:
        self.agent_hears(1000)
        self.proxy_hears(1000)
        for viewer in self.pages:
            self.page_hears(viewer, 1000)
            self.page_renders(viewer, 1000)
            self.page_is_heard(viewer, 1000)
        self.time_passes(ACK_MS)

    # In the end

    def heal(self) -> None:
        """Everybody is there again and takes what comes: everything arrives, without waiting for who is slow."""
        if self.agent.up:
            self.link_breaks()
        for there in (False, True):  # before and after the agent is
            if there:
                self.agent_dials(2_000_000, True)
            for viewer, page in self.pages.items():
                while self.terminals.listing() and not page.socket:
                    self.page_connects(viewer, SOCKETS_BYTES[-1])
                    self.tell("", "advance", ms=1000)
        self.late_bytes_arrive()
        self.late_bytes_are_lost()
        for _ in range(HEALING_ROUNDS):
            self.all_is_well_for_a_while()
            if self._everything_arrived:
                return
        assert self._everything_arrived, "somebody waits for ever"

    @property
    def _everything_arrived(self) -> bool:
        end = self.agent.out.ring.end
        pages = self.pages.values()
        return not self.agent.unwritten and all(one.position == end and one.everything_typed_arrived for one in pages)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.end()


def test_nothing_is_lost_or_repeated_whatever_is_cut(node: Node) -> None:
    World.node = node
    run_state_machine_as_test(
        World, settings=settings(max_examples=EXAMPLES, stateful_step_count=80, phases=[Phase.generate])
    )
