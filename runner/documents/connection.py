"""One tab's connection: answers its frames and queues what is sent to it. No sockets in it."""

import asyncio
from collections import deque

from runner.documents.disk import NotEditable
from runner.documents.room import Attachment, Room
from runner.documents.rooms import Rooms
from runner.documents.wire import (
    UPDATE,
    BadMessage,
    Close,
    Flush,
    Message,
    Open,
    Opened,
    Ping,
    Pong,
    Rebase,
    Sync,
    decode,
    encode,
)
from runner.errors import DevexError

QUEUE_BYTES = 8 * 1024 * 1024  # a tab that leaves more news than this unread is cut off; it syncs when it comes back
READ_AHEAD_BYTES = 1024 * 1024  # with more than this unread no further request is taken: answers pile up no higher
MAX_CHANNELS = 64  # open files of a tab
FREE_S = 0.05  # time on the loop a tab may use at once; then it waits as long as it has used


class Connection:
    """`receive` is fed one frame after the other, `next_frame` gives what to send; `close` lets go of the rooms.

    `name` is whose tab it is. `cut_off` returns when more than QUEUE_BYTES wait to be sent.
    """

    def __init__(self, rooms: Rooms, *, name: str, can_write: bool) -> None:
        self._rooms = rooms
        self._name = name
        self._can_write = can_write
        self._attached: dict[int, tuple[Room, Attachment]] = {}
        self._last_channel = 0
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._overflow = asyncio.Event()
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._answering = False  # what is sent now was asked for
        self._used_s = 0.0

    async def receive(self, frame: bytes) -> None:
        """Raises BadMessage or BadUpdate for what is no protocol. Waits while the tab has left much unread."""
        while self._queued_bytes > READ_AHEAD_BYTES:
            self._drained.clear()
            await self._drained.wait()
        started = asyncio.get_running_loop().time()
        message = decode(frame)
        self._answering = True
        try:
            if isinstance(message, Sync):
                self._sync(message)
            else:
                await self._answer(message)
            if isinstance(message, Sync | Rebase):
                await self._pay(asyncio.get_running_loop().time() - started)
        finally:
            self._answering = False

    @property
    def overflowed(self) -> bool:
        return self._overflow.is_set()

    async def cut_off(self) -> None:
        await self._overflow.wait()

    async def next_frame(self) -> bytes:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        frame = self._queue.popleft()
        self._queued_bytes -= len(frame)
        if self._queued_bytes <= READ_AHEAD_BYTES:
            self._drained.set()
        return frame

    def close(self) -> None:
        for channel in list(self._attached):
            self._detach(channel)

    async def _answer(self, message: Message) -> None:
        match message:
            case Open():
                await self._open(message)
            case Close(channel):
                self._detach(channel)
            case Rebase(channel):
                if (found := self._find(channel)) and await _rebase(*found, message):
                    self._rooms.on_edit(self._name)
            case Flush(channel):
                if found := self._find(channel):
                    found[0].flush(found[1])
            case Ping(number):
                self._send(Pong(number))
            case _:
                raise BadMessage("a message that only the server sends")

    async def _open(self, message: Open) -> None:
        try:
            if len(self._attached) >= MAX_CHANNELS:
                raise NotEditable("refused")
            room = await self._rooms.open(message.path, message.guid, can_write=self._can_write)
        except NotEditable as error:
            self._send(Opened(message.path, 0, "", 0, error.reason))
            return
        self._last_channel += 1
        attachment = Attachment(self._last_channel, self._can_write, self._send, message.guid, message.digest)
        self._attached[attachment.channel] = (room, attachment)
        room.attach(attachment, message.path)

    def _sync(self, message: Sync) -> None:
        if message.step > UPDATE:
            raise BadMessage("not a y-sync message")
        if found := self._find(message.channel):
            room, attachment = found
            if room.sync(attachment, message.step, message.payload):
                self._rooms.on_edit(self._name)

    def _find(self, channel: int) -> tuple[Room, Attachment] | None:
        """None for a channel that was closed or reset while the frame was on its way."""
        found = self._attached.get(channel)
        if found and not found[0].holds(found[1]):
            del self._attached[channel]
            return None
        return found

    def _detach(self, channel: int) -> None:
        if found := self._attached.pop(channel, None):
            found[0].detach(found[1])

    def _send(self, message: Message) -> None:
        frame = encode(message)
        if not self._answering and self._queued_bytes + len(frame) > QUEUE_BYTES:
            self._overflow.set()
        if not self.overflowed:  # else nothing more: a gap must not look like the whole
            self._queue.append(frame)
            self._queued_bytes += len(frame)
            self._filled.set()

    async def _pay(self, used_s: float) -> None:
        """Nobody may keep the loop busy: who used much waits as long before the next frame is read."""
        self._used_s += used_s
        if self._used_s > FREE_S:
            wait_s, self._used_s = self._used_s, 0.0
            await asyncio.sleep(wait_s)


async def _rebase(room: Room, attachment: Attachment, message: Rebase) -> bool:
    try:
        return await room.rebase(attachment, message)
    except (DevexError, UnicodeDecodeError) as error:  # splices that do not fit, or that leave half a character
        raise BadMessage(str(error)) from error
