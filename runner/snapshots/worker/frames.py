"""Messages between a server and its worker process: JSON, and beside it bytes."""

import asyncio
import json
import struct
from typing import Any, Final

MAX_JSON_BYTES: Final = 16 << 20  # a listing of 2 million characters, of which each may take 6 bytes, and some
MAX_DATA_BYTES: Final = 8 << 20  # one chunk of a file and some
_HEAD: Final = struct.Struct("!II")

Message = dict[str, Any]


def encode(message: Message, data: bytes = b"") -> bytes:
    """Raises ValueError for what `read` refuses."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > MAX_JSON_BYTES or len(data) > MAX_DATA_BYTES:
        raise ValueError("a message is too long")
    return _HEAD.pack(len(body), len(data)) + body + data


async def read(reader: asyncio.StreamReader) -> tuple[Message, bytes] | None:
    """None at the end. Raises ValueError for what `encode` does not write."""
    try:
        size, data_size = _HEAD.unpack(await reader.readexactly(_HEAD.size))
        if size > MAX_JSON_BYTES or data_size > MAX_DATA_BYTES:
            raise ValueError("a message is too long")
        body = await reader.readexactly(size)
        data = await reader.readexactly(data_size)
    except asyncio.IncompleteReadError:
        return None
    message = json.loads(body)
    if not isinstance(message, dict):
        raise ValueError("a message is no object")
    return message, data
