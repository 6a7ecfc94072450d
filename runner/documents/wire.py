"""Messages of the documents WebSocket: one connection per browser tab, many open files.

A frame is one binary WebSocket message, at most 8 MiB: a kind, then the fields of its message in order. `int` is a
lib0 varuint; `str` (UTF-8) and `bytes` are preceded by their length in bytes; splices are a count, then start, delete
and the inserted bytes of each, in UTF-8 bytes of the text before. A channel is a small number that the server gives to
an open file.

A tab sends OPEN with the guid and the digest it already knows (or two empty strings). OPENED names the channel; or 0
and the reason why the file cannot be edited: "missing", "binary", "too-large" or "refused". With a channel the reason
is empty or "read-only". Both sides then exchange y-sync messages (step 1, step 2, update) in SYNC.

Two replicas of different guids are never merged: their common text would be doubled. When OPENED names another guid
than the tab has (the server was restarted), or RESET says that the room begins anew, the tab drops its replica, takes
the new one, and sends what nobody has saved as REBASE: the last text it knows to be on disk, and splices from there to
what it showed. The server merges in three ways: what the tab changed since that base is brought into the room's text;
a change that the room has as well counts once; where both changed one place differently both texts are kept. So a
REBASE may be repeated, two tabs may send the same unsaved change, and a save whose receipt was lost doubles nothing.
REBASED says that it is in the room; until then the tab keeps it. (The base travels whole: a restarted server has only
the file, which may have moved on.) RESET's reason is "compacted", "renewed", "not-text", "read-only" or one of OPENED.

SAVED is the receipt: this text is on disk, with the digest of the file's bytes and the time. It is told as splices
against the text of the SAVED before (or, when `whole`, against an empty text), so that every tab knows the saved text
exactly. The first one follows the first step 2. It has no splices unless it is `whole`: then the saved text is the one
the tab held at OPEN, if that has this digest, or else the text of that step 2.

FLUSH saves at once, also a file that was deleted, and is always answered by SAVED or by NOTICE. NOTICE says the state
of a file in words; its code is "deleted", "unsaved" (the disk refused) or "" (all is well again); "too-large" or
"read-only" hears who sent a REBASE that was not taken. Kinds 1 and 7 are kept for presence and signalling.

MOVED says that the file was renamed, itself or a folder above it: the channel and the replica stay, the path is another
one. A tab that was away meanwhile finds the room by the guid of its OPEN: OPENED then names the old path, and MOVED
follows. A file that is deleted through the routes ends with RESET "missing"; one that nobody edits with RESET "refused"
when somebody wants to edit another and no more are kept open.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints

from runner.workspace import Splice

MAX_FRAME_BYTES = 8 * 1024 * 1024  # a 5 MB text as one update or one REBASE, with room to spare
MAX_SPLICES = 10_000  # in what a tab sends: decoding more would hold the loop (a tab sends one)
MAX_VARUINT_BYTES = 8  # 2**53 - 1, the largest integer JavaScript counts exactly, takes no more

STEP_1, STEP_2, UPDATE = 0, 1, 2  # the y-sync messages
READ_ONLY, CRLF, BOM = 1, 2, 4  # flags of OPENED

Splices = tuple[Splice, ...]


class BadMessage(ValueError):
    """A frame that is not in the protocol."""


class Sync(NamedTuple):
    channel: int
    step: int
    payload: bytes


class Open(NamedTuple):
    path: str
    guid: str
    digest: str


class Opened(NamedTuple):
    path: str
    channel: int
    guid: str
    flags: int
    reason: str


class Close(NamedTuple):
    channel: int


class Saved(NamedTuple):
    channel: int
    digest: str
    at_ms: int
    whole: int
    splices: Splices


class Reset(NamedTuple):
    channel: int
    reason: str


class Ping(NamedTuple):
    number: int


class Pong(NamedTuple):
    number: int


class Rebase(NamedTuple):
    channel: int
    base: bytes
    splices: Splices


class Rebased(NamedTuple):
    channel: int


class Flush(NamedTuple):
    channel: int


class Notice(NamedTuple):
    channel: int
    code: str
    message: str


class Moved(NamedTuple):
    channel: int
    path: str


Message = Sync | Open | Opened | Close | Saved | Reset | Ping | Pong | Rebase | Rebased | Flush | Notice | Moved

KINDS: dict[int, type[Message]] = {
    0: Sync,
    2: Open,
    3: Opened,
    4: Close,
    5: Saved,
    6: Reset,
    8: Ping,
    9: Pong,
    10: Rebase,
    11: Rebased,
    12: Flush,
    13: Notice,
    14: Moved,
}


def encode(message: Message) -> bytes:
    """The frame of a message."""
    kind, writers = _WRITERS[type(message)]
    out = bytearray([kind])
    for write, value in zip(writers, message, strict=True):
        write(out, value)
    return bytes(out)


def decode(frame: bytes) -> Message:
    """The message of a frame. Raises BadMessage for an unknown kind, a short or an overlong frame."""
    if not frame or len(frame) > MAX_FRAME_BYTES or frame[0] not in _READERS:
        raise BadMessage("unknown or oversized frame")
    message_type, readers = _READERS[frame[0]]
    at = 1
    values = []
    for read in readers:
        value, at = read(frame, at)
        values.append(value)
    if at != len(frame):
        raise BadMessage(f"{len(frame) - at} bytes too many")
    return message_type(*values)


def _write_int(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _read_int(frame: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(MAX_VARUINT_BYTES):
        if at + i >= len(frame):
            break
        byte = frame[at + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise BadMessage("a number does not end")


def _write_bytes(out: bytearray, value: bytes) -> None:
    _write_int(out, len(value))
    out += value


def _read_bytes(frame: bytes, at: int) -> tuple[bytes, int]:
    size, at = _read_int(frame, at)
    if at + size > len(frame):
        raise BadMessage("a frame ends too early")
    return frame[at : at + size], at + size


def _write_str(out: bytearray, value: str) -> None:
    _write_bytes(out, value.encode())


def _read_str(frame: bytes, at: int) -> tuple[str, int]:
    raw, at = _read_bytes(frame, at)
    try:
        return raw.decode(), at
    except UnicodeDecodeError as error:
        raise BadMessage("a string is not UTF-8") from error


def _write_splices(out: bytearray, splices: Splices) -> None:
    _write_int(out, len(splices))
    for start, delete, insert in splices:
        _write_int(out, start)
        _write_int(out, delete)
        _write_bytes(out, insert)


def _read_splices(frame: bytes, at: int) -> tuple[Splices, int]:
    count, at = _read_int(frame, at)
    if count > MAX_SPLICES:
        raise BadMessage("too many splices")
    splices: list[Splice] = []
    for _ in range(count):
        start, at = _read_int(frame, at)
        delete, at = _read_int(frame, at)
        insert, at = _read_bytes(frame, at)
        splices.append((start, delete, insert))
    return tuple(splices), at


_CODECS: dict[Any, tuple[Callable[[bytearray, Any], None], Callable[[bytes, int], tuple[Any, int]]]] = {
    int: (_write_int, _read_int),
    bytes: (_write_bytes, _read_bytes),
    str: (_write_str, _read_str),
    Splices: (_write_splices, _read_splices),
}
_WRITERS = {t: (kind, [_CODECS[hint][0] for hint in get_type_hints(t).values()]) for kind, t in KINDS.items()}
_READERS = {kind: (t, [_CODECS[hint][1] for hint in get_type_hints(t).values()]) for kind, t in KINDS.items()}
