"""One terminal as the proxy knows it: the cached output and those who watch it. No sockets here.

The ring is the only buffer of output: a viewer is an offset in it. Whoever is too slow finds that its offset has left
the ring, skips ahead and is told of the gap; it never holds up the others.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from runner.protocol.messages import FREE_RUN, INITIAL_CREDIT_BYTES
from runner.protocol.ring import Ring
from runner.proxy.records.recording import Recording
from runner.proxy.terminals import wire
from runner.proxy.terminals.attachment import Attachment
from runner.proxy.terminals.exits import LOST, Exit
from runner.proxy.terminals.ids import Kind
from runner.proxy.terminals.modes import ModeLog
from runner.proxy.terminals.people import People
from runner.proxy.terminals.repaint import Repaint
from runner.proxy.terminals.screen import clamp
from runner.proxy.terminals.titles import first_title
from runner.proxy.terminals.typed import TypedByPages
from runner.proxy.terminals.window import CREDIT_STEPS
from runner.viewer import Viewer

STALL_S: Final = 5.0  # a viewer that acknowledges nothing for so long (a frozen tab) no longer sets the pace


class Terminal:
    """`grant` tells the agent up to which offset it may send, `resize` the PTY's size."""

    def __init__(
        self,
        terminal_id: str,
        kind: Kind,
        channel: int,
        size: tuple[int, int],
        *,
        start: int = 0,
        end: int = 0,
        grant: Callable[[int], None],
        resize: Callable[[int, int], None],
    ) -> None:
        self.id = terminal_id
        self.kind = kind
        self.title = first_title(terminal_id)
        self.channel = channel
        self.size = clamp(*size)
        self.ring = Ring(start)
        self.modes = ModeLog(self.ring)
        self.known_end = end  # of the agent's ring when it was found; ours is filled from there
        self.exit: Exit | None = None
        self.closed: int | None = None  # WebSocket code
        self.ended = asyncio.Event()
        self.started_s = time.monotonic()
        self.duration_s: float | None = None
        self.recording: Recording | None = None
        self.attachments: list[Attachment] = []  # the first comer first
        self.people = People(self.attachments, self._people_changed)
        self._typed = TypedByPages()
        self._typed_by_viewers = TypedByPages()  # apart, so that their pages, however many, push nobody's out
        self.rendered = end  # the offset up to which somebody who may answer has seen the output
        self._grant = grant
        self._resize = resize
        self._repaint = Repaint(resize, lambda: self.size)
        self._granted = start + INITIAL_CREDIT_BYTES  # what the agent assumes by itself
        self._stall_check: asyncio.TimerHandle | None = None

    @property
    def is_named(self) -> bool:
        """By somebody; programs do not name it then."""
        return self.title != first_title(self.id)

    def json(self) -> dict[str, Any]:
        """As `GET terminals` lists it."""
        cols, rows = self.size
        return {
            "id": self.id,
            "title": self.title,
            "named": self.is_named,
            "kind": self.kind,
            "cols": cols,
            "rows": rows,
            "start": self.ring.start,
            "end": self.ring.end,
            "exit": self.exit.json() if self.exit else None,
        }

    def introduction(self, attachment: Attachment) -> bytes:
        """The READY message."""
        cols, rows = self.size
        about = {
            "id": self.id,
            "kind": self.kind,
            "cols": cols,
            "rows": rows,
            "start": self.ring.start,
            "end": self.ring.end,
            "can_write": attachment.can_write,
            "you": attachment.person,
            "taken": attachment.taken,
        }
        return wire.ready(about)

    # What the agent says

    def output(self, offset: int, data: bytes) -> None:
        self.modes.output(offset, data)
        self.ring.append(offset, data)
        for attachment in self.attachments:
            attachment.more_output()
        if self.recording:
            self.recording.output(offset)
        self._expect_progress()

    def exited(self, ending: Exit) -> None:
        """The program has ended."""
        self.exit = ending
        self.duration_s = self.duration_s or round(time.monotonic() - self.started_s, 3)  # or as its record has it
        self.ended.set()
        self._record_end()
        for attachment in self.attachments:
            attachment.wake.set()

    def record(self, recording: Recording) -> None:
        """From now on, or again."""
        self.recording = recording
        known = recording.about
        if known.exit and not known.exit.get("lost"):  # it has been said to a proxy before us
            self.duration_s = known.duration_s
        self._record_end()
        if self.closed is not None:  # while it was opened
            self._record_close()

    def take_title_of_record(self) -> None:
        """It was named while a proxy before us was there."""
        if self.recording and self.kind == "shell":
            self.title = self.recording.about.title

    def _record_end(self) -> None:
        if self.recording and (ending := self.exit):
            self.recording.ended(ending.how(), self.duration_s, ending.peak_bytes)

    def _record_close(self) -> None:
        if self.recording:
            self.recording.close(round(time.monotonic() - self.started_s, 3))

    def resumed(self) -> None:
        """An agent will send again from the ring's end; it has forgotten the credit and perhaps the size."""
        if self.exit is LOST:
            self.exit = self.duration_s = None
            self.ended.clear()
            if self.recording:
                self.recording.goes_on()
        self._granted = self.ring.end + INITIAL_CREDIT_BYTES
        self._resize(*self.size)
        self.settle_credit()

    # What viewers do

    def attach(self, after: int, viewer: Viewer, page: bytes = b"") -> Attachment:
        """`page`: see TypedByPages."""
        typed = (self._typed if viewer.can_write else self._typed_by_viewers).of(page)
        if typed and viewer.can_write:  # what was refused to it before it might type is not to be said again
            typed.taken = max(typed.taken, self._typed_by_viewers.forget(page))
        attachment = Attachment(self, after, viewer, self.people.number_of(viewer), typed)
        self.attachments.append(attachment)
        self.people.came()
        self._expect_progress()
        self.settle_credit()
        return attachment

    def detach(self, attachment: Attachment) -> None:
        self.attachments.remove(attachment)
        self.people.left(attachment.person)
        self.settle_credit()
        self.settle_size()

    def acknowledge(self, attachment: Attachment, offset: int) -> None:
        attachment.acknowledge(offset)
        if attachment.can_write:
            self.rendered = max(self.rendered, attachment.acknowledged)
        if attachment.has_skipped and attachment.is_live:
            attachment.has_skipped = False
            # What lines are missing nobody but the program knows. Who may only look keeps no REPL awake by asking it.
            if self.modes.alternate and not self.ended.is_set() and attachment.can_write:
                self._repaint.ask()
        self.settle_credit()

    def may_answer(self, attachment: Attachment) -> bool:
        """Whether a terminal's own answer to a program (where is the cursor? what are you?) counts: once, so from one
        viewer only, of those whose turn it is, and not when it shows an old question again. Otherwise the shell would
        take it for typing."""
        holder = self.people.holder
        writers = [one for one in self.attachments if one.can_write and not one.stalled]
        writers = [one for one in writers if one.person == holder] or writers
        leader = next((one for one in writers if one.size), next(iter(writers), None))  # one that is not hidden
        return attachment is leader and attachment.acknowledged >= attachment.seen_before

    def show(self, attachment: Attachment, cols: int, rows: int) -> None:
        """A viewer's window has this size; 0 x 0: it is hidden."""
        attachment.size = clamp(cols, rows) if cols and rows else None
        self.settle_size()

    def may_type(self, attachment: Attachment, count: int) -> bool:
        """Whether keys of this viewer, `count` bytes of them, reach the program: it takes the turn, or is refused."""
        allowed = self.people.may_type(attachment)
        if not allowed:
            attachment.refuse(count, self.people.holder)
        return allowed

    def may_report(self, attachment: Attachment) -> bool:
        """Whether what a window sends without being asked nor typed into counts: not when it shows again what once was
        asked for, which a shell that is there now would take for typing."""
        may_write = attachment.can_write and self.people.holder in (None, attachment.person)
        return may_write and attachment.acknowledged >= attachment.seen_before

    def _people_changed(self) -> None:
        for attachment in self.attachments:
            attachment.wake.set()
        self.settle_size()

    def settle_size(self) -> None:
        """The PTY has the size that those who are here give it."""
        if (size := self.people.size(self.size)) != self.size:
            self.size = size
            self._resize(*size)
            if self.recording:
                self.recording.resized(*size)
            for attachment in self.attachments:
                attachment.wake.set()

    def settle_credit(self) -> None:
        """The fastest of those who may type sets the pace; without one, output runs on into the ring: who may only look
        holds nothing up.
        """
        if self.exit:
            return
        pacing = (one for one in self.attachments if one.can_write and not one.stalled)
        fastest = max(pacing, key=_upto, default=None)
        upto = fastest.upto if fastest else FREE_RUN
        step = fastest.window.size_bytes // CREDIT_STEPS if fastest else 1
        if abs(upto - self._granted) >= step:
            self._granted = upto
            self._grant(upto)

    def _expect_progress(self) -> None:
        if self._stall_check is None and self.attachments:
            self._stall_check = asyncio.get_running_loop().call_later(STALL_S, self._find_stalled)

    def _find_stalled(self) -> None:
        self._stall_check = None
        before_s = time.monotonic() - STALL_S
        for attachment in self.attachments:
            attachment.stalled = attachment.waiting and attachment.progress_s <= before_s
        self.settle_credit()
        if any(one.waiting and not one.stalled for one in self.attachments):
            self._expect_progress()

    def close(self, code: int) -> None:
        """Send away who is still attached."""
        self.closed = code
        if code == wire.NO_SUCH_TERMINAL:
            self._record_close()
        if self._stall_check:
            self._stall_check.cancel()
        self.people.close()
        self._repaint.close()
        for attachment in self.attachments:
            attachment.wake.set()
        self.ended.set()


def _upto(attachment: Attachment) -> int:
    return attachment.upto
