"""One open file and those who look at it."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from runner.documents import disk
from runner.documents.disk import MAX_TEXT_BYTES, OnDisk
from runner.documents.sharedfile import SharedFile
from runner.documents.wire import (
    BOM,
    CRLF,
    READ_ONLY,
    STEP_1,
    STEP_2,
    UPDATE,
    Message,
    Moved,
    Notice,
    Opened,
    Rebase,
    Rebased,
    Reset,
    Saved,
    Splices,
    Sync,
)
from runner.workspace import Workspace, apply_splices

AUTOSAVE_S = 0.3  # from the first unsaved edit: about a word a write, and that little to lose
LATE_CHECK_S = 0.3  # while a program writes into a file that a save has replaced
DISK_CHECK_S = 5.0  # hints can be lost, and unwatched folders give none: look at the file this often
LINGER_S = 60.0  # a room outlives its last viewer so long, so that a reload finds it as it was

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Attachment:
    """One viewer of a room. `send` must not block; `digest` and `guid` are what the viewer said it holds."""

    channel: int
    can_write: bool
    send: Callable[[Message], None]
    guid: str = ""
    digest: str = ""
    synced: bool = False  # it has had its first step 2, and with it the first SAVED
    flushing: bool = False  # it waits for the answer to a FLUSH


class Room:
    """`run` is the room's task and returns when the room is over; everything else is called on the same loop."""

    def __init__(self, workspace: Workspace, path: str, found: OnDisk) -> None:
        self.file = SharedFile(workspace, path, found, self)
        self._attachments: set[Attachment] = set()
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._left_at = asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Save after edits and look at the disk, until the file is no text any more or nobody looked for LINGER_S."""
        while self.file.ended is None and not self._is_over():
            await self._woken()
            asked = [attachment for attachment in self._attachments if attachment.flushing]
            try:
                await self.file.save(recreate=bool(asked))
            except Exception:  # the outer edge: one file's trouble must not take the other rooms down
                log.exception("room %s", self.file.path)
            self._answer(asked)

    @property
    def viewers(self) -> int:
        return len(self._attachments)

    @property
    def is_needed(self) -> bool:
        """By somebody who may edit, or for what was typed and what a program still writes: it would be lost."""
        return any(one.can_write for one in self._attachments) or self.file.unsaved or self.file.is_followed

    def wake(self) -> None:
        """Look at the disk soon."""
        self._wake.set()

    def attach(self, attachment: Attachment, asked: str) -> None:
        """Begin to send: OPENED for the path that was asked for now, the rest after the viewer's step 1."""
        self._attachments.add(attachment)
        form = self.file.disk.form
        flags = READ_ONLY * (not self.is_writable(attachment)) | CRLF * form.crlf | BOM * form.bom
        reason = "" if self.is_writable(attachment) else "read-only"
        attachment.send(Opened(asked, attachment.channel, self.file.document.guid, flags, reason))
        if asked != self.file.path:
            attachment.send(Moved(attachment.channel, self.file.path))

    def detach(self, attachment: Attachment) -> None:
        self._attachments.discard(attachment)
        if not self._attachments:
            self._left_at = asyncio.get_running_loop().time()

    def holds(self, attachment: Attachment) -> bool:
        return attachment in self._attachments

    def is_writable(self, attachment: Attachment) -> bool:
        return attachment.can_write and not self.file.disk.read_only

    def sync(self, attachment: Attachment, step: int, payload: bytes) -> bool:
        """Answer a y-sync message; returns whether it changed the text. Raises BadUpdate."""
        if step == STEP_1:
            self._send_state(attachment, payload)
            return False
        if not self.is_writable(attachment):
            self._renew_one(attachment, "read-only")  # its replica says what the room will never say
            return False
        document = self.file.document
        update = document.apply(payload)
        if not update:
            return False
        if len(document) > MAX_TEXT_BYTES:
            self._renew_one(attachment, "too-large")  # the others only begin anew, and keep what they typed
            self.file.renew("renewed")
            return False
        self._send_update(update, attachment)
        self._wake.set()
        return True

    async def rebase(self, attachment: Attachment, message: Rebase) -> bool:
        """Merge what a viewer of an earlier history had not saved; returns whether that changed the text.

        Raises DevexError or UnicodeDecodeError for splices that do not fit.
        """
        base = disk.clean(message.base)
        theirs = disk.clean(apply_splices(message.base, message.splices))
        theirs.decode()
        base.decode()
        if refusal := self._refusal_of(attachment, len(theirs)):
            attachment.send(Notice(attachment.channel, *refusal))
            attachment.send(Rebased(attachment.channel))
            return False
        update = await self.file.rebase(base, theirs)
        if update is None:
            return False
        if update:
            self._send_update(update, None)
            self._wake.set()
        attachment.send(Rebased(attachment.channel))
        return bool(update)

    def _refusal_of(self, attachment: Attachment, size: int) -> tuple[str, str] | None:
        if not self.is_writable(attachment):
            return "read-only", "The file can only be read. Your last change is not in it."
        if size > MAX_TEXT_BYTES:
            return "too-large", "The file would become too large to edit. Your last change is not in it."
        return None

    def flush(self, attachment: Attachment) -> None:
        """Save now, and tell the viewer when it is done."""
        attachment.flushing = self.is_writable(attachment)
        if attachment.flushing:
            self._hurry.set()
            self._wake.set()
        else:
            self._send_receipt(attachment)

    def follow(self, path: str) -> None:
        """The file has that path now."""
        self.file.path = path
        for attachment in self._attachments:
            attachment.send(Moved(attachment.channel, path))

    # what the file tells (sharedfile.Listener)

    def changed(self, update: bytes) -> None:
        self._send_update(update, None)

    def saved(self, splices: Splices) -> None:
        for attachment in self._attachments:
            if attachment.synced:
                self._send_receipt(attachment, splices)

    def renewed(self, reason: str) -> None:
        for attachment in list(self._attachments):
            self._renew_one(attachment, reason)
        self.wake()

    def noticed(self, code: str, message: str) -> None:
        for attachment in self._attachments:
            attachment.send(Notice(attachment.channel, code, message))

    # sending

    def _send_state(self, attachment: Attachment, state: bytes) -> None:
        document = self.file.document
        attachment.send(Sync(attachment.channel, STEP_2, document.update_since(state)))
        if attachment.synced:
            return
        attachment.synced = True
        if self.is_writable(attachment):
            attachment.send(Sync(attachment.channel, STEP_1, document.state()))
        same_text = attachment.guid != document.guid and not self.file.unsaved
        if same_text or attachment.digest == self.file.disk.digest:
            self._send_receipt(attachment)
        else:
            self._send_receipt(attachment, ((0, 0, self.file.disk.text),), whole=True)
        if self.file.notice[0]:
            attachment.send(Notice(attachment.channel, *self.file.notice))

    def _send_update(self, update: bytes, source: Attachment | None) -> None:
        for attachment in self._attachments:
            if attachment is not source:
                attachment.send(Sync(attachment.channel, UPDATE, update))

    def _send_receipt(self, attachment: Attachment, splices: Splices = (), *, whole: bool = False) -> None:
        found = self.file.disk
        attachment.flushing = False
        attachment.send(Saved(attachment.channel, found.digest, found.at_ms, int(whole), splices))

    def _renew_one(self, attachment: Attachment, reason: str) -> None:
        self.detach(attachment)
        attachment.send(Reset(attachment.channel, reason))

    # the task

    def _is_over(self) -> bool:
        left_for_s = asyncio.get_running_loop().time() - self._left_at
        return not self._attachments and left_for_s > LINGER_S and not self.is_needed

    async def _woken(self) -> None:
        """Wait for an edit, a hint or the clock; after an edit a little longer, unless somebody pressed save."""
        await _within(LATE_CHECK_S if self.file.is_followed else DISK_CHECK_S, self._wake)
        if self.file.unsaved:
            await _within(AUTOSAVE_S, self._hurry)
        self._wake.clear()
        self._hurry.clear()

    def _answer(self, asked: list[Attachment]) -> None:
        """Those whose FLUSH changed nothing still get their receipt, or hear why not."""
        for attachment in asked:
            if not attachment.flushing or attachment not in self._attachments:
                continue
            if self.file.unsaved or self.file.notice[0]:
                attachment.flushing = False
                code, message = self.file.notice
                attachment.send(Notice(attachment.channel, code or "unsaved", message or "The file is not saved yet."))
            else:
                self._send_receipt(attachment)


async def _within(timeout_s: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
