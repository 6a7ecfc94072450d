"""A WebSocket on a blocking socket: what a key waits for is then the server, not its client.

Frames as RFC 6455 has them; of the server's only whole ones without extensions, which is what both servers send.
"""

import base64
import os
import socket
import struct
from urllib.parse import urlsplit

DEADLINE_S = 30
_MASK = bytes(4)  # of zeros: the bytes stay as they are
_RECEIVE_BYTES = 1 << 18


class RawSocket:
    """An open WebSocket to `url`."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._socket = socket.create_connection((parts.hostname, parts.port), DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = bytearray()
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        asked = {
            "Host": parts.netloc,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items())
        self._socket.sendall(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            self._more()
        assert self._read.startswith(b"HTTP/1.1 101"), bytes(self._read[:200])
        del self._read[: end + 4]

    def send(self, data: bytes, *, text: bool = False) -> None:
        """One message of at most 125 bytes."""
        assert len(data) < 126
        self._socket.sendall(bytes((0x81 if text else 0x82, 0x80 | len(data))) + _MASK + data)

    def receive(self) -> bytes:
        """The next message."""
        while True:
            while (found := self._frame()) is None:
                self._more()
            opcode, data = found
            if opcode in (1, 2):
                return data
            assert opcode in (9, 10), f"the server has closed: {data!r}"

    def close(self) -> None:
        """Without a word."""
        self._socket.close()

    def _more(self) -> None:
        piece = self._socket.recv(_RECEIVE_BYTES)
        assert piece, "the server has gone"
        self._read += piece

    def _frame(self) -> tuple[int, bytes] | None:
        read = self._read
        if len(read) < 2:
            return None
        size, at = read[1], 2
        if size == 126:
            size, at = struct.unpack_from(">H", read, 2)[0] if len(read) >= 4 else len(read), 4
        elif size == 127:
            size, at = struct.unpack_from(">Q", read, 2)[0] if len(read) >= 10 else len(read), 10
        if len(read) < at + size:
            return None
        opcode, data = read[0] & 15, bytes(read[at : at + size])
        del read[: at + size]
        return opcode, data
