"""The messages of `WS exec`: first a JSON text, as wanted.py has it; then binary, u8 kind | body, numbers big-endian.

What each says, and with which fields: docs/protocol.md, Exec. Kinds are numbered as those of terminals are; OUTPUT and
EXITED have other bodies than there, and REFUSED is not theirs, which has another number.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

INPUT, RESIZE, ACK, SIGNAL, EOF = 1, 2, 3, 4, 12
OUTPUT, EXITED, READY, CREDIT, ERRORS, REFUSED = 17, 19, 22, 28, 29, 30

# Close codes.
DONE: Final = 1000  # behind EXITED
NOT_RUN: Final = 1008  # behind REFUSED

_CREDIT: Final = struct.Struct(">BQ")


def credit(upto: int) -> bytes:
    return _CREDIT.pack(CREDIT, upto)


def told(kind: int, about: Mapping[str, Any]) -> bytes:
    """READY, EXITED and REFUSED."""
    return bytes([kind]) + json.dumps(about).encode()
