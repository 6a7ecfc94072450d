"""What a browser tab does with one file, in Python."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from pycrdt import Doc, Text

from runner.documents import textdiff
from runner.documents.connection import Connection
from runner.documents.rooms import Rooms
from runner.documents.wire import (
    STEP_1,
    STEP_2,
    UPDATE,
    Flush,
    Message,
    Moved,
    Notice,
    Open,
    Opened,
    Rebase,
    Rebased,
    Reset,
    Saved,
    Sync,
    decode,
    encode,
)
from runner.workspace import Workspace, apply_splices

DEADLINE_S = 60
TEXT = "".join(f"line {number}: déjà vu 😀\n" for number in range(30))


def rooms_over(workspace: Workspace) -> Rooms:
    return Rooms(workspace, on_edit=lambda name: None)


class Frames(Protocol):
    """The server's end of a connection, or a socket that leads there."""

    async def receive(self, frame: bytes) -> None: ...
    async def next_frame(self) -> bytes: ...
    def close(self) -> None: ...


class Tab:
    """Frames from the server are handled only inside `until`, so a test decides what a tab has seen."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.guid = self.digest = ""
        self.held: bytes | None = None
        self.pending: list[tuple[bytes, bytes]] = []
        self.opened: Opened | None = None
        self.is_synced = False
        self.seen: list[Message] = []
        self.sent_bytes = self.received_bytes = 0
        self._unsent: list[bytes] = []
        self._take_replica()

    def _take_replica(self) -> None:
        self.doc: Doc[Text] = Doc()
        self.content = self.doc.get("content", type=Text)
        self._changes: list[bytes] = []
        changes = self._changes
        self._subscription = self.doc.observe(lambda event: changes.append(event.update))

    @property
    def text(self) -> str:
        return str(self.content)

    async def connect(self, rooms: Rooms, *, can_write: bool = True) -> "Tab":
        return await self.over(Connection(rooms, name="ada", can_write=can_write))

    async def over(self, connection: Frames) -> "Tab":
        """By a connection that was just opened."""
        self.connection = connection
        await self._open()
        await self.until(lambda: self.is_synced or (self.opened is not None and not self.opened.channel))
        return self

    def disconnect(self) -> None:
        self.connection.close()
        self.is_synced = False

    async def type(self, at: int, text: str, delete: int = 0) -> None:
        """At a character position, as people count."""
        start = len(self.text[:at].encode())
        size = len(self.text[at : at + delete].encode())
        with self.doc.transaction():
            if size:
                del self.content[start : start + size]
            if text:
                self.content.insert(start, text)
        await self._send_changes()

    async def _send_changes(self) -> None:
        changes, self._changes[:] = list(self._changes), []
        for change in changes:
            if self.is_synced and self.opened is not None:
                await self.send(Sync(self.opened.channel, UPDATE, change))

    async def flush(self) -> None:
        assert self.opened is not None
        before = len(self.receipts)
        await self.send(Flush(self.opened.channel))
        await self.until(lambda: len(self.receipts) > before)

    @property
    def receipts(self) -> list[Saved]:
        return [message for message in self.seen if isinstance(message, Saved)]

    @property
    def notices(self) -> list[str]:
        return [message.code for message in self.seen if isinstance(message, Notice)]

    @property
    def is_saved(self) -> bool:
        return self.held == self.text.encode() and not self.pending

    async def send(self, message: Message) -> None:
        frame = encode(message)
        self.sent_bytes += len(frame)
        await self.connection.receive(frame)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                frame = await self.connection.next_frame()
                self.received_bytes += len(frame)
                await self._handle(decode(frame))

    async def _open(self) -> None:
        await self.send(Open(self.path, self.guid, self.digest if self.held is not None else ""))

    async def _handle(self, message: Message) -> None:
        self.seen.append(message)
        match message:
            case Opened():
                await self._on_opened(message)
            case Sync(channel, step, payload):
                if step == STEP_1:
                    await self.send(Sync(channel, STEP_2, self.doc.get_update(payload)))
                else:
                    self.doc.apply_update(payload)
                    self._changes.clear()
            case Saved():
                await self._on_saved(message)
            case Reset(_, reason):
                self.is_synced = False
                if reason in {"too-large", "read-only"}:
                    self.held = None
                self.guid = "reset"
                await self._open()
            case Rebased():
                self.pending.pop(0)
            case Moved(_, path):
                self.path = path

    async def _on_opened(self, message: Opened) -> None:
        self.opened = message
        if not message.channel:
            return
        if self.guid != message.guid:
            if self.held is not None and self.held != self.text.encode():
                self.pending.append((self.held, self.text.encode()))
            self._take_replica()
            self.guid = message.guid
        await self.send(Sync(message.channel, STEP_1, self.doc.get_state()))

    async def _on_saved(self, message: Saved) -> None:
        first = not self.is_synced
        if message.whole:
            self.held = apply_splices(b"", message.splices)
        elif first and (self.held is None or message.digest != self.digest):
            self.held = self.text.encode()
        else:
            assert self.held is not None
            self.held = apply_splices(self.held, message.splices)
        self.digest = message.digest
        if first:
            self.is_synced = True
            for base, text in self.pending:
                await self.send(Rebase(message.channel, base, tuple(textdiff.diff(base, text))))


async def until_each(tabs: Iterable[Tab], condition: Callable[[Tab], bool]) -> None:
    """Until it is true of every one of them."""
    for tab in tabs:
        await tab.until(partial(condition, tab))
