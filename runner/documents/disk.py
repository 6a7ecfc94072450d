"""A text file as it is on disk: what it says and how it says it. All functions block: call them in a thread.

In memory lines end with LF, as an editor counts them; on disk they end as the file had them, CR LF when more than half
of them did. A byte order mark and the file's mode are kept.
"""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass

from runner.errors import DevexError
from runner.workspace import ABSENT, Stat, Workspace

MAX_TEXT_BYTES = 5_000_000  # up to here editors, diffs and merges stay quick; larger files are for download
LATEST_MS = 253_402_300_799_000  # the end of 9999
BOM = b"\xef\xbb\xbf"
OWNER_WRITES = 0o200


class NotEditable(Exception):
    """The file cannot be edited as text; `reason` is "missing", "binary", "too-large" or "refused"."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChangedOnDisk(Exception):
    """Somebody else wrote, created or removed the file since it was last looked at."""


Stamp = tuple[int, int, int]  # two looks with the same stamp saw the same file


@dataclass(frozen=True, slots=True)
class Form:
    """How a text is written down."""

    crlf: bool = False
    bom: bool = False


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A text file at one moment. `digest` is that of its bytes, `text` has LF line ends and no byte order mark."""

    text: bytes
    digest: str
    form: Form
    stat: Stat

    @property
    def at_ms(self) -> int:
        """When it was written, as near as it can be said: programs set any time."""
        return min(max(self.stat.mtime_ns // 1_000_000, 0), LATEST_MS)

    @property
    def read_only(self) -> bool:
        return not self.stat.mode & OWNER_WRITES


def clean(text: bytes) -> bytes:
    """As a text is kept in memory: LF line ends, no NUL."""
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")


def decode(raw: bytes) -> tuple[bytes, Form]:
    """Text and form of a file's bytes. Raises NotEditable."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise NotEditable("binary") from None
    if b"\0" in raw:
        raise NotEditable("binary")
    bom = raw.startswith(BOM)
    text = raw.removeprefix(BOM)
    return clean(text), Form(crlf=text.count(b"\r\n") * 2 > text.count(b"\n"), bom=bom)


def encode(text: bytes, form: Form) -> bytes:
    """The bytes of a file that says `text` in that form."""
    body = text.replace(b"\n", b"\r\n") if form.crlf else text
    return BOM + body if form.bom else body


def stat(workspace: Workspace, path: str) -> Stat | None:
    """None when there is nothing of that name."""
    try:
        return workspace.stat(path)
    except DevexError as error:
        if error.code in {"not_found", "not_a_folder"}:
            return None
        raise


def load(workspace: Workspace, path: str) -> OnDisk:
    """Raises NotEditable."""
    try:
        found = workspace.stat(path)  # before reading: what changes meanwhile is then noticed at the next look
        raw = workspace.read(path, MAX_TEXT_BYTES)
    except DevexError as error:
        raise NotEditable({"not_found": "missing", "too_large": "too-large"}.get(error.code, "refused")) from error
    text, form = decode(raw)
    return OnDisk(text, hashlib.sha256(raw).hexdigest(), form, found)


def store(workspace: Workspace, path: str, text: bytes, form: Form, expect: str | None) -> tuple[OnDisk, int | None]:
    """Write the file if it still has the digest `expect`, or does not exist when that is None.

    Returns what is there now and a descriptor of the file it replaced, None when there was none or it was written in
    place. Raises ChangedOnDisk or DevexError.
    """
    raw = encode(text, form)
    replaced = None
    with ExitStack() as opened:
        try:
            if expect is not None:
                replaced = workspace.open_read(path)
                opened.callback(os.close, replaced)
            written = workspace.write_atomic(path, raw, expect=ABSENT if expect is None else expect)
        except DevexError as error:
            if error.code == "changed" or (error.code == "not_found" and expect is not None):
                raise ChangedOnDisk from error
            raise
        if replaced is not None and os.fstat(replaced).st_ino == written.inode:
            replaced = None
        else:
            opened.pop_all()
    return OnDisk(text, hashlib.sha256(raw).hexdigest(), form, written), replaced
