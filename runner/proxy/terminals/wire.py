"""The messages of `WS terminals/{id}?after=OFFSET&page=ID.SENT`: binary, u8 kind | body, numbers big-endian.

What each says, and with which fields: docs/protocol.md, Terminals.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

INPUT, RESIZE, ACK, SIGNAL, PING, TURN = 1, 2, 3, 4, 5, 6
OUTPUT, GAP, EXITED, SIZE, PONG, READY, PEOPLE, REFUSED, MODES, TAKEN = 17, 18, 19, 20, 21, 22, 23, 24, 25, 26

NO_SUCH_TERMINAL: Final = 4404  # or not any more: a close code, beside those of RFC 6455

MAX_MESSAGE_BYTES: Final = 1 << 20  # a large paste comes in pieces

_OUTPUT, _GAP, _SIZE, _PONG, _TAKEN = (struct.Struct(code) for code in (">BQ", ">BQQ", ">BHH", ">BI", ">BQ"))
_CELLS, _OFFSET, _NUMBER = (struct.Struct(code) for code in (">HH", ">Q", ">I"))


class BadMessage(Exception):
    """The browser sent what is no message."""


def output(offset: int, data: bytes) -> bytes:
    return _OUTPUT.pack(OUTPUT, offset) + data


def gap(start: int, end: int) -> bytes:
    return _GAP.pack(GAP, start, end)


def size(cols: int, rows: int) -> bytes:
    return _SIZE.pack(SIZE, cols, rows)


def pong(number: int) -> bytes:
    return _PONG.pack(PONG, number)


def taken(count: int) -> bytes:
    return _TAKEN.pack(TAKEN, count)


def exited(about: Mapping[str, Any]) -> bytes:
    return bytes([EXITED]) + json.dumps(about).encode()


def ready(about: Mapping[str, Any]) -> bytes:
    return bytes([READY]) + json.dumps(about).encode()


def people(about: Mapping[str, Any]) -> bytes:
    return bytes([PEOPLE]) + json.dumps(about).encode()


def refused(about: Mapping[str, Any]) -> bytes:
    return bytes([REFUSED]) + json.dumps(about).encode()


def modes(sequences: bytes) -> bytes:
    return bytes([MODES]) + sequences


def cells(body: bytes) -> tuple[int, int]:
    """RESIZE -> (cols, rows). Raises BadMessage."""
    cols, rows = _unpacked(_CELLS, body)
    return cols, rows


def offset(body: bytes) -> int:
    """ACK. Raises BadMessage."""
    return _unpacked(_OFFSET, body)[0]


def number(body: bytes) -> int:
    """PING, TURN. Raises BadMessage."""
    return _unpacked(_NUMBER, body)[0]


def _unpacked(form: struct.Struct, body: bytes) -> tuple[int, ...]:
    try:
        return form.unpack(body)
    except struct.error:
        raise BadMessage("a message of another length") from None
