"""One terminal, its program and its pages: the real parts of agent, proxy and page (in node), and between them links
and a clock that do what they are told. Nothing is judged here: what happened is noted.
"""

import asyncio
import json
import random
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast
from unittest.mock import patch

from starlette.types import Message

from runner.agent.link import OUT_BYTES
from runner.agent.outflow import Outflow
from runner.direct import EXTENSION
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
from runner.viewer import Viewer
from tests.runner.proxy.page_in_node import Node

NOWHERE: Final = Path("/nowhere")
TURNS: Final = 12  # of the loop, in which every task that has something to do has done it
_NAME: Final = 3  # characters of a page's name, with which each of its messages begins
_NUMBER: Final = 5  # digits behind it
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
        self.credits: deque[tuple[int, int]] = deque()  # granted, and up to where the fastest viewer's window goes

    def send(self, message: FromProxy) -> None:
        if self.connected:
            self.sent.append(message)
            if isinstance(message, Credit) and self.terminals:
                [terminal] = self.terminals.of_kind("shell")
                paces = [one.acknowledged + one.window.size_bytes for one in terminal.attachments if not one.stalled]
                self.credits.append((message.upto, max(paces, default=FREE_RUN)))


class Page:
    """A viewer: what it shows, what is typed there, and the socket between it and the proxy."""

    def __init__(self) -> None:
        self.position = 0
        self.shown: deque[tuple[int, bytes]] = deque()  # offset, and what was shown as what is there
        self.marks: list[int] = []  # how many bytes each says are gone
        self.socket: Socket | None = None
        self.url: str | None = None  # wants to be connected there
        self.is_ready = False
        self.typed: list[bytes] = []
        self.came: list[int] = []  # to the program, by their place in `typed`
        self.sent_upto = 0  # of all bytes typed
        self.told_bytes = 0  # that so many were taken
        self.doubtful_bytes = 0  # typed into a proxy that was killed

    def message(self, viewer: str, size: int) -> bytes:
        """What is typed next."""
        return (b"%s%0*d" % (viewer.encode(), _NUMBER, len(self.typed))).ljust(size, b".")

    def place(self, count: int) -> int:
        """Where that message ends, among all bytes typed."""
        return sum(map(len, self.typed[:count]))

    def hears(self, frame: bytes) -> None:
        if frame[0] == wire.READY:
            self.is_ready = True
            self.sent_upto = self.told_bytes = json.loads(frame[1:])["taken"]
        elif frame[0] == wire.TAKEN:
            self.told_bytes = wire.offset(frame[1:])


class Socket:
    """Both ways, as ASGI and runner/direct.py say it, in order; whoever sends waits for room."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._is_asked = False
        self.on_message: Callable[[bytes], bool] | None = None
        self.to_page: deque[bytes] = deque()
        self.to_proxy: deque[Message] = deque()
        self.came: deque[Message] = deque([{"type": "websocket.connect"}])
        self.room, self.came_in = asyncio.Event(), asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.sent_upto: int | None = None
        self.acknowledged = 0
        self.most_ahead_bytes = 0  # that was sent and not acknowledged
        self.has_holes = False  # something was sent that does not begin where the last ended
        self._ends_at: int | None = None
        self.skipped_unseen = False  # something behind a gap was sent before all in front of it was acknowledged

    async def receive(self) -> Message:
        self._is_asked = True
        while not self.came:
            self.came_in.clear()
            await self.came_in.wait()
        self._is_asked = False
        message = self.came.popleft()
        self._note_acknowledged(message)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] != "websocket.send":
            return
        while not self.is_writable:
            self.room.clear()
            await self.room.wait()
        self.send_now(message["bytes"])

    @property
    def is_writable(self) -> bool:
        return sum(map(len, self.to_page)) <= self._size_bytes

    def send_now(self, frame: bytes) -> None:
        self.to_page.append(frame)
        if frame[0] not in {wire.GAP, wire.OUTPUT}:
            return
        start = wire.offset(frame[1:9])
        self.has_holes |= self._ends_at not in (None, start)
        self._ends_at = wire.offset(frame[9:]) if frame[0] == wire.GAP else start + len(frame) - 9
        if frame[0] == wire.OUTPUT:
            if self.sent_upto != start:  # the first, or behind a gap
                self.skipped_unseen |= self.sent_upto not in (None, self.acknowledged)
                self.acknowledged = start
            self.sent_upto = self._ends_at
            self.most_ahead_bytes = max(self.most_ahead_bytes, self.sent_upto - self.acknowledged)

    def come_in(self, message: Message) -> None:
        data = message.get("bytes")
        if data and self._is_asked and not self.came and self.on_message and self.on_message(data):
            self._note_acknowledged(message)
            return
        self.came.append(message)
        self.came_in.set()

    def _note_acknowledged(self, message: Message) -> None:
        data = message.get("bytes") or b" "
        if data[0] == wire.ACK:
            self.acknowledged = max(self.acknowledged, wire.offset(data[1:]))


class Routes(TerminalRoutes):
    """Tell which page's keys arrive."""

    pages: dict[str, Page]

    def _type(self, terminal: Terminal, attachment: Attachment, body: bytes) -> None:
        page, number = self.pages[body[:_NAME].decode()], int(body[_NAME : _NAME + _NUMBER])
        assert page.typed[number] == body
        page.came.append(number)
        super()._type(terminal, attachment, body)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes when it is told to."""

    now_s = 1000.0

    def time(self) -> float:
        return self.now_s


class World:
    """All of them. Whatever is done here has had its effect when it returns."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._loop = Clock()
        self._patches = ExitStack()
        self.agent = Agent()
        self.pages: dict[str, Page] = {}
        self.sockets: list[Socket] = []  # all that there ever were
        self.late: list[Socket] = []  # that the network gave up, and the proxy did not
        self._ending: list[asyncio.Task[None]] = []  # of sockets: at once, but who waits for an agent that is away
        clock = SimpleNamespace(monotonic=self._loop.time, time=self._loop.time)
        for module in ("terminal", "attachment"):
            self._patches.enter_context(patch(f"runner.proxy.terminals.{module}.time", clock))

    def begin(self) -> None:
        """A terminal is opened."""
        self._run(self._new_proxy)
        opening = self._loop.create_task(self.terminals.open("shell", ("sh",)))
        self._run()
        self.agent_hears(1)
        self.proxy_hears(1)
        assert opening.done()
        self.link.terminals = self.terminals

    def end(self) -> None:
        self._node.do("", "reset")
        for page in self.pages.values():
            self._hang_up(page)
        self.lose_late()
        self._ending.clear()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._run()
        self._loop.close()
        self._patches.close()

    def pass_time(self, ms: int) -> None:
        self._loop.now_s += ms / 1000
        self._run()
        self._tell("", "advance", ms=ms)

    def _run(self, do: Callable[[], None] = lambda: None) -> None:
        """On the loop, until nothing more happens by itself."""

        async def turns() -> None:
            do()
            for _ in range(TURNS):
                await asyncio.sleep(0)

        self._loop.run_until_complete(turns())
        for task in [one for one in self._ending if one.done()]:
            self._ending.remove(task)
            task.result()

    # Agent and proxy

    def write(self, size: int) -> None:
        self.agent.unwritten += size
        self.agent.pump()

    def proxy_hears(self, count: int) -> None:
        self._run(lambda: self._hear(count))

    def _hear(self, count: int) -> None:
        for _ in range(min(count, len(self.agent.sent))):
            self.terminals.message(self.agent.sent.popleft())
        self.agent.others_fill_the_link = False
        self.agent.pump()

    def agent_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.link.sent))):
            self.agent.take(self.link.sent.popleft())

    def break_link(self) -> None:
        """What is on the way is lost."""
        self.agent.up = self.link.connected = False
        self.agent.sent.clear()
        self.link.sent.clear()
        self.link.ready.clear()
        self.agent.out.detach()
        self.agent.pump()
        self._run(self.terminals.lost)

    def join_link(self, writes: int) -> None:
        """`writes`: bytes between the Hello and the Resume."""
        self.agent.up = self.link.connected = True
        self.link.ready.set()

        def found() -> None:
            self.terminals.hello(self.agent.hello())
            self.link.terminals = self.terminals
            self.write(writes)

        self._run(found)

    def restart_proxy(self) -> None:
        """Killed, with all that was on its way to it."""
        if self.agent.up:
            self.break_link()
        for name, page in self.pages.items():
            page.doubtful_bytes = max(page.doubtful_bytes, page.sent_upto)
            if page.socket:
                self.cut(name)
        self.lose_late()
        for task in self._ending:
            task.cancel()
        self._ending.clear()
        self._run(self._new_proxy)

    def _new_proxy(self) -> None:
        self.link = Link()
        records = Records(Disk(NOWHERE))  # not entered: nothing is written
        self.terminals = Terminals(
            cast(AgentLink, self.link), records, {}, "/", on_changed=lambda: None, on_output=lambda: None
        )
        self._routes = Routes(self.terminals, cast(AgentLink, self.link), ("sh",), on_key=lambda: None)
        self._routes.pages = self.pages

    # Pages and proxy

    def come(self, viewer: str) -> None:
        """Somebody opens the terminal."""
        self.pages[viewer] = Page()
        self._tell(viewer, "open")

    def connect(self, viewer: str, size_bytes: int, *, at_once: bool) -> None:
        """If it wants to be connected; `size_bytes` go on their way to the page before whoever sends waits. `at_once`:
        the server offers what runner/direct.py says."""
        page = self.pages.get(viewer)
        if not page or not page.url or page.socket or not self.terminals.listing():
            return
        socket = page.socket = Socket(size_bytes)
        self.sockets.append(socket)
        scope = {
            "type": "websocket",
            "path_params": {"id": self.terminals.listing()[0]["id"]},
            "query_string": page.url.partition("?")[2].encode(),
            "devex.viewer": Viewer("u1", viewer, True),
            "extensions": {EXTENSION: socket} if at_once else {},
        }
        socket.task = self._loop.create_task(self._routes(scope, socket.receive, socket.send))
        self._run()
        self._tell(viewer, "accepted")

    def page_hears(self, viewer: str, count: int, *, output: int = 0) -> None:
        """`output`: so many messages the proxy hears before whoever sends notices that there is room."""
        page = self.pages.get(viewer)
        for _ in range(count):
            if page and page.socket and page.socket.to_page:
                frame = page.socket.to_page.popleft()
                page.hears(frame)
                self._tell(viewer, "frame", data=b64encode(frame).decode())

        def room() -> None:
            if page and page.socket:
                page.socket.room.set()
            if output:
                self._hear(output)

        self._run(room)

    def page_is_heard(self, viewer: str, count: int) -> None:
        page = self.pages.get(viewer)
        for _ in range(count):
            if page and page.socket and page.socket.to_proxy:
                page.socket.come_in(page.socket.to_proxy.popleft())
        self._run()

    def render(self, viewer: str, count: int) -> None:
        """What a page was told to show is on its screen."""
        if viewer in self.pages:
            self._tell(viewer, "render", count=count)

    def type(self, viewer: str, size: int) -> None:
        page = self.pages[viewer]
        page.typed.append(page.message(viewer, size))
        self._tell(viewer, "type", data=b64encode(page.typed[-1]).decode())

    def cut(self, viewer: str) -> None:
        """What is on the way is lost, either way."""
        page = self.pages[viewer]
        page.url = None
        self._hang_up(page)
        self._tell(viewer, "cut")

    def swallow(self, viewer: str) -> None:
        """The page gives its socket up; the proxy does not, and may yet get what is on the way."""
        if self._leave_late(self.pages[viewer]):
            self._tell(viewer, "cut")

    def reload(self, viewer: str) -> None:
        """The page is loaded anew, if it has sent what may not have arrived; that is on the way, and may yet come."""
        page = self.pages[viewer]
        if self._node.do(viewer, "doubts") != [[viewer, "doubts", True]]:
            return
        self._leave_late(page)
        page.position = 0
        self._tell(viewer, "reload")

    def _leave_late(self, page: Page) -> bool:
        """Whether it had a socket."""
        if page.socket is None:
            return False
        self.late.append(page.socket)
        page.socket, page.url, page.is_ready = None, None, False
        return True

    def deliver_late(self) -> None:
        for socket in self.late:
            while socket.to_proxy:
                socket.come_in(socket.to_proxy.popleft())
        self._run()

    def lose_late(self) -> None:
        while self.late:
            self._end_socket(self.late.pop())

    def _hang_up(self, page: Page) -> None:
        socket, page.socket, page.is_ready = page.socket, None, False
        if socket:
            self._end_socket(socket)

    def _end_socket(self, socket: Socket) -> None:
        if socket.task:
            socket.come_in({"type": "websocket.disconnect", "code": 1006})
            socket.room.set()
            socket.to_page.clear()
            self._ending.append(socket.task)
            self._run()

    def _tell(self, viewer: str, act: str, **about: Any) -> None:
        """The page does something; what comes of it."""
        for name, what, *rest in self._node.do(viewer, act, **about):
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
                    self._hang_up(page)
                case "shown", [data]:
                    page.shown.append((page.position, b64decode(data)))
                    page.position += len(page.shown[-1][1])
                case "gap", [size]:
                    page.marks.append(size)
                    page.position += size
