"""Framing: u32 length of the rest | u8 kind | body, big-endian. The length is checked before anything is buffered."""

import struct

from runner.protocol.errors import ProtocolError

HEADER = struct.Struct(">IB")
HEADER_BYTES = HEADER.size
# Longer than any message needs (an Open with a large environment), short enough to hold one per connection.
MAX_FRAME_BYTES = 1 << 20


def encode_frame(kind: int, body: bytes, max_frame_bytes: int = MAX_FRAME_BYTES) -> bytes:
    """One whole frame."""
    if len(body) + 1 > max_frame_bytes:
        raise ProtocolError(f"a frame of {len(body) + 1} bytes is longer than {max_frame_bytes}")
    return HEADER.pack(len(body) + 1, kind) + body


def parse_header(header: bytes | bytearray, max_frame_bytes: int = MAX_FRAME_BYTES) -> tuple[int, int]:
    """-> (kind, bytes of body that follow). `header` is exactly HEADER_BYTES long.

    Whoever reads the first frame of a connection uses this: behind a Stream frame come raw bytes, which a Decoder
    would swallow.
    """
    length, kind = HEADER.unpack(header)
    if not 1 <= length <= max_frame_bytes:
        raise ProtocolError(f"a frame announces {length} bytes; 1 to {max_frame_bytes} are allowed")
    return kind, length - 1


class Decoder:
    """Bytes in arbitrary pieces -> whole frames. Holds at most one unfinished frame and the piece just fed."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[int, bytes]]:
        """-> [(kind, body)] completed by `data`. After a ProtocolError the connection is lost: every call raises it."""
        if not self._buffer and len(data) >= HEADER_BYTES:
            length, kind = HEADER.unpack_from(data)
            if len(data) == HEADER_BYTES + length - 1 and length <= self._max_frame_bytes:  # a key, and its echo
                return [(kind, bytes(data[HEADER_BYTES:]))]
        buffer = self._buffer
        buffer += data
        found: list[tuple[int, bytes]] = []
        at = 0
        while len(buffer) - at >= HEADER_BYTES:
            kind, length = parse_header(buffer[at : at + HEADER_BYTES], self._max_frame_bytes)
            end = at + HEADER_BYTES + length
            if end > len(buffer):
                break
            with memoryview(buffer) as view:
                found.append((kind, bytes(view[at + HEADER_BYTES : end])))
            at = end
        del buffer[:at]
        return found
