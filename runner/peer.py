"""Who is at the other end of a unix socket, as the kernel says."""

import asyncio
import socket
import struct

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


def peer_uid(connection: asyncio.BaseTransport | asyncio.StreamWriter) -> int:
    """The uid that dialled it, at the moment it did."""
    dialled = connection.get_extra_info("socket")
    _, uid, _ = _CREDENTIALS.unpack(dialled.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)
