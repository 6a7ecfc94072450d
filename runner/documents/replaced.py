"""A file that a save has replaced while a program goes on writing to it.

A save puts a new file in the place of the old one, so that nobody ever reads half of it. A program that opened the old
one before (`program >> log`) has it still, without a name. What it writes there is read through our own descriptor and
merged into the text like any other change from outside, and so reaches the file that has the name, until the program
closes it or the room ends. What is written later than that stays where it is: with the program's own descriptor.
"""

import fcntl
import os
import signal
from typing import Final

from runner.documents import disk
from runner.documents.disk import MAX_TEXT_BYTES, NotEditable, OnDisk
from runner.workspace import Stat
from runner.workspace.drafts import CHUNK_BYTES

# What the kernel sends when somebody opens the file while we hold the lease: ignored where nobody handles it, while the
# signal it would choose by itself ends the process.
_ON_OPEN: Final = signal.SIGURG


class Replaced:
    """Owns `descriptor`, a file that was `found` when it was replaced; `text` is what of it has been merged."""

    def __init__(self, descriptor: int, found: OnDisk) -> None:
        self._descriptor = descriptor
        self.text = found.text
        self._stamp = found.stat.stamp  # of `text`

    def close(self) -> None:
        os.close(self._descriptor)

    def stat(self) -> Stat:
        return Stat.of(os.fstat(self._descriptor))

    async def look(self) -> Stat:
        return self.stat()

    @property
    def changed(self) -> bool:
        return self.stat().stamp != self._stamp

    @property
    def is_written(self) -> bool:
        """Whether a program may write to it: then the kernel gives nobody a lease to read it undisturbed.

        False where it gives no leases at all, to files of others for example: what is written late is not merged there.
        """
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, _ON_OPEN)
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return False

    def read(self) -> tuple[bytes, Stat]:
        """The text now, and what the file was before it was read. Blocks. Raises NotEditable."""
        found = self.stat()
        raw = bytearray()
        try:
            while piece := os.pread(self._descriptor, CHUNK_BYTES, len(raw)):
                raw += piece
                if len(raw) > MAX_TEXT_BYTES:
                    raise NotEditable("too-large")
        except OSError as error:  # a bad disk
            raise NotEditable("refused") from error
        return disk.decode(bytes(raw))[0], found

    def merged(self, text: bytes, found: Stat) -> None:
        self.text, self._stamp = text, found.stamp
