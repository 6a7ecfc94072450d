"""A file on disk and the document of those who edit it, kept equal.

`save` first takes in what programs wrote, then writes what nobody saved; the write names the digest it replaces, so
that it never overwrites a change it has not seen. What programs write into the file that it replaced is merged as well.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from runner.documents import disk, textdiff
from runner.documents.disk import ChangedOnDisk, NotEditable, OnDisk, Stamp
from runner.documents.document import Document
from runner.documents.replaced import Replaced
from runner.documents.wire import Splices
from runner.errors import DevexError
from runner.workspace import Stat, Workspace

SETTLE_POLL_S = 0.08
SETTLE_POLLS = 50  # 4 s: the file of a program that writes for longer is read as it grows
SHRUNK_POLLS = 6  # 0.5 s: a file that lost half its size or went away is probably being written anew
SAVE_ROUNDS = 5  # merges in a row before a save waits for its next turn: some program writes all the time
BLOAT_FACTOR = 8  # a history this many times its text (and BLOAT_BYTES) begins anew: it only ever grows by fragments
BLOAT_BYTES = 1_000_000
LATE_DUTY = 10  # what a program goes on writing there is merged this many times as rarely as that takes
MAX_REPLACED = 4  # files of a name that were replaced and that programs still write to; each is a descriptor and a text

log = logging.getLogger(__name__)


class Listener(Protocol):
    """What a shared file tells whoever shows it."""

    def changed(self, update: bytes) -> None:
        """A change that came from the disk."""

    def saved(self, splices: Splices) -> None:
        """The text on disk is another one, as splices against the one before."""

    def renewed(self, reason: str) -> None:
        """The document began anew from the saved text: replicas of the old one are void."""

    def noticed(self, code: str, message: str) -> None:
        """Something to tell people; an empty code: all is well again."""


class SharedFile:
    """The methods are called on one loop; `found` is the file as it was just loaded."""

    def __init__(self, workspace: Workspace, path: str, found: OnDisk, listener: Listener) -> None:
        self.path = path
        self.disk = found  # the last text known to be on disk, and its form
        self.document = Document(found.text)
        self.ended: str | None = None  # why the file can no longer be edited as text
        self.notice = ("", "")
        self._workspace = workspace
        self._listener = listener
        self._stamp: Stamp | None = found.stat.stamp  # None: the file is gone
        self._replaced: list[Replaced] = []
        self._late_at = 0.0  # when what programs go on writing there is looked at again
        self.saving = asyncio.Lock()  # whoever holds it may move or delete the file: nothing is read or written
        self._rebasing = asyncio.Lock()
        self._mark_saved(self.document.version, self.document.everything())

    @property
    def unsaved(self) -> bool:
        return self.document.version != self._saved_version

    @property
    def is_followed(self) -> bool:
        """Whether a program may still write into a file that a save has replaced: then `save` looks at that, too."""
        return bool(self._replaced)

    def close(self) -> None:
        """After the last `save`."""
        while self._replaced:
            self._replaced.pop().close()

    def renew(self, reason: str, text: bytes | None = None) -> None:
        """Begin a new history with the saved text, or with `text` as unsaved; viewers send what it lacks as REBASE."""
        self.document = Document(self.disk.text)
        self._mark_saved(self.document.version, self.document.everything())
        if text is not None:
            self.document.merge(self._base, textdiff.diff(self.disk.text, text))
        self._listener.renewed(reason)

    def end(self, reason: str) -> None:
        """The file can no longer be edited as text; see `ended`."""
        self.ended = reason
        self._listener.renewed(reason)

    async def rebase(self, base: bytes, theirs: bytes) -> bytes | None:
        """Merge a text that somebody made from `base`; returns the change, or None when the history began anew."""
        async with self._rebasing:  # one after the other, so that a change two tabs send is seen and counts once
            document = self.document
            ours, past = document.text(), document.everything()
            splices = await asyncio.to_thread(textdiff.merge, base, ours, theirs)
            if document is not self.document:
                return None
            return document.merge(past, splices)[0]

    async def save(self, *, recreate: bool = False) -> bool:
        """Bring document and disk together; returns whether they are. `recreate` writes a file that was deleted."""
        async with self.saving:
            for _ in range(SAVE_ROUNDS):
                try:
                    await self._take_late()
                    if not await self._take_disk():
                        return False
                    if not self.unsaved and not (recreate and self._stamp is None):
                        return True
                    await self._write()
                    if not any(replaced.changed and not replaced.is_written for replaced in self._replaced):
                        return not self.unsaved
                except ChangedOnDisk:
                    continue  # somebody was quicker: merge first
                except DevexError as error:
                    self._tell("unsaved", f"{error.message} {error.action}")
                    return False
            self._tell("unsaved", "A program keeps changing this file. Your text is kept and saved when it pauses.")
            return False

    async def _take_disk(self) -> bool:
        """Merge what others wrote since the last look; returns whether it is still a file to edit."""
        if self.ended is not None:
            return False
        seen = await self._look()
        if seen is None is self._stamp or (seen is not None and seen.stamp == self._stamp):
            return True
        if await self._settled(seen, self.disk.stat.size_bytes, self._look) is None:
            self._stamp = None
            self._tell("deleted", "The file was deleted on disk. Type or save to create it again.")
            return True
        was = self.disk
        try:
            found = await asyncio.to_thread(disk.load, self._workspace, self.path)
        except NotEditable as error:
            if error.reason != "missing":  # gone again: the next look will find out
                self.end(error.reason)
            return error.reason == "missing"
        splices = await asyncio.to_thread(textdiff.diff, was.text, found.text)
        is_saved = not self.unsaved
        change, base = self.document.merge(self._base, splices) if splices else (b"", self._base)
        self._stamp, self.disk = found.stat.stamp, found
        self._mark_saved(self.document.version if is_saved else self._saved_version, base)
        if change:
            self._listener.changed(change)
        self._tell("", "")
        if found.digest != was.digest:
            self._listener.saved(tuple(splices))
        return True

    async def _take_late(self) -> None:
        """Merge what was written into files that a save has replaced."""
        started = time.monotonic()
        for replaced in list(self._replaced):
            is_written = replaced.is_written
            if is_written and started < self._late_at:
                continue
            try:
                if replaced.changed:
                    if replaced.stat().size_bytes < len(replaced.text) // 2:  # else what is there is not taken back
                        await self._settled(replaced.stat(), len(replaced.text), replaced.look)
                    text, found = await asyncio.to_thread(replaced.read)
                    change = await self.rebase(replaced.text, text)
                    if change is None:
                        return  # the history began anew: at the next look
                    replaced.merged(text, found)
                    if change:
                        self._listener.changed(change)
                if is_written:
                    continue
            except NotEditable as error:
                if is_written and error.reason == "binary":
                    continue  # half a character, maybe
                log.warning("%s: what a program writes into the file that was replaced is lost: %s", self.path, error)
            self._replaced.remove(replaced)
            replaced.close()
        if started >= self._late_at:
            now = time.monotonic()
            self._late_at = now + LATE_DUTY * (now - started)

    async def _look(self) -> Stat | None:
        return await asyncio.to_thread(disk.stat, self._workspace, self.path)

    async def _settled(
        self, seen: Stat | None, size_bytes: int, look: Callable[[], Awaitable[Stat | None]]
    ) -> Stat | None:
        """The file once it stands still: it is often seen half written. `size_bytes` is what it had before."""
        still = 0
        for _ in range(SETTLE_POLLS):
            await asyncio.sleep(SETTLE_POLL_S)
            again = await look()
            still = still + 1 if again == seen else 0
            seen = again
            shrunk = seen is None or seen.size_bytes < size_bytes // 2
            if still >= (SHRUNK_POLLS if shrunk else 1):
                break
        return seen

    async def _write(self) -> None:
        """Put the document's text on disk. Raises ChangedOnDisk, DevexError, OSError."""
        document, version, text = self.document, self.document.version, self.document.text()
        if not document.is_plain(text):
            self.renew("not-text", disk.clean(text))
            return
        base, was = document.everything(), self.disk
        if text == was.text and self._stamp is not None:  # typed and taken back
            self._mark_saved(version, base)
            self._listener.saved(())
            return
        expect = was.digest if self._stamp is not None else None
        found, replaced = await asyncio.to_thread(disk.store, self._workspace, self.path, text, was.form, expect)
        if replaced is not None:
            self._follow(Replaced(replaced, was))
        splices = await asyncio.to_thread(textdiff.diff, was.text, text)
        if document is not self.document:
            return  # begun anew meanwhile: what was just written is merged like anybody else's change
        self._stamp, self.disk = found.stat.stamp, found
        self._mark_saved(version, base)
        self._tell("", "")
        self._listener.saved(tuple(splices))
        if not self.unsaved and len(base) > BLOAT_FACTOR * len(text) + BLOAT_BYTES:
            self.renew("compacted")

    def _follow(self, replaced: Replaced) -> None:
        self._replaced.append(replaced)
        if len(self._replaced) > MAX_REPLACED:
            log.warning("%s: too many programs write to it: what one of them writes from now on is lost", self.path)
            self._replaced.pop(0).close()

    def _mark_saved(self, version: int, base: bytes) -> None:
        self._saved_version = version
        self._base = base  # the history that says what is on disk: outside changes are merged from there

    def _tell(self, code: str, message: str) -> None:
        if self.notice != (code, message):
            self.notice = (code, message)
            self._listener.noticed(code, message)
