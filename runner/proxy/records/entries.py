"""What a record consists of: pieces of output and changes of size, in the order in which they came; and their form in
files, where each is known to be whole or torn by a checksum. Pure.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

PIECE_BYTES: Final = 64 * 1024  # of output in one entry: what a torn one may take along

_HEAD: Final = struct.Struct(">IIBQQ")  # CRC-32 of all that follows it, bytes of the body, kind, offset, time
_CELLS: Final = struct.Struct(">HH")
_OUTPUT, _SIZED = 1, 2
_LONGEST: Final = max(PIECE_BYTES, _CELLS.size)


class Output(NamedTuple):
    """`offset` of its first byte since the terminal was opened, `at_ms` since 1970."""

    offset: int
    at_ms: int
    data: bytes


class Sized(NamedTuple):
    """From here on the terminal had this size."""

    offset: int
    at_ms: int
    cols: int
    rows: int


Entry = Output | Sized


class Gap(NamedTuple):
    """Bytes that were written and not kept."""

    start: int
    end: int


def encode(entry: Entry) -> bytes:
    kind, body = (_OUTPUT, entry.data) if isinstance(entry, Output) else (_SIZED, _CELLS.pack(entry.cols, entry.rows))
    head = _HEAD.pack(0, len(body), kind, entry.offset, entry.at_ms)[4:]
    return b"".join((zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "big"), head, body))


def decode(raw: bytes) -> Iterator[tuple[Entry, int]]:
    """-> entries, each with the place where it ends in `raw`; until the end, or something torn."""
    at = 0
    while at + _HEAD.size <= len(raw):
        checksum, length, kind, offset, at_ms = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + length
        if length > _LONGEST or end > len(raw) or zlib.crc32(memoryview(raw)[at + 4 : end]) != checksum:
            return
        body = raw[at + _HEAD.size : end]
        yield Output(offset, at_ms, body) if kind == _OUTPUT else Sized(offset, at_ms, *_CELLS.unpack(body)), end
        at = end


def with_gaps(entries: Iterator[Entry], start: int = 0) -> Iterator[Entry | Gap]:
    """And what is missing from offset `start` on, at its place."""
    for entry in entries:
        if isinstance(entry, Output):
            if entry.offset > start:
                yield Gap(start, entry.offset)
            start = entry.offset + len(entry.data)
        yield entry
