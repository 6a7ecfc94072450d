"""The messages of `WS exec`: first a JSON text, as wanted.py has it; then binary, u8 kind | body, numbers big-endian.

What each says, and with which fields: docs/protocol.md, Exec. What terminals say, too, has their kinds; no kind of
theirs means something else here.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any, Final

from runner.proxy.terminals.wire import BadMessage, cells, offset

INPUT, RESIZE, ACK, SIGNAL, EOF = 1, 2, 3, 4, 12
OUTPUT, EXITED, READY, CREDIT, ERRORS, REFUSED = 17, 19, 22, 28, 29, 30

# Close codes.
DONE: Final = 1000  # behind EXITED
NOT_RUN: Final = 1008  # behind REFUSED

_CREDIT: Final = struct.Struct(">BQ")

__all__ = [
    "ACK", "CREDIT", "DONE", "EOF", "ERRORS", "EXITED", "INPUT", "NOT_RUN", "OUTPUT", "READY", "REFUSED",
    "RESIZE", "SIGNAL", "BadMessage", "cells", "credit", "offset", "told",
]  # fmt: skip


def credit(upto: int) -> bytes:
    return _CREDIT.pack(CREDIT, upto)


def told(kind: int, about: Mapping[str, Any]) -> bytes:
    """READY, EXITED and REFUSED."""
    return bytes([kind]) + json.dumps(about).encode()
