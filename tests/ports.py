"""Ports of loopback for servers that are told theirs before they listen."""

import itertools
import os
import socket
from typing import Final

# Below those that the kernel gives away, which it may do again before the server listens.
PORTS: Final = range(20_000, 32_000)
_next = itertools.count(os.getpid() * 101)  # processes that test at once begin at different ones


def free_port() -> int:
    """One that nobody listens on, and that this process has not given away yet."""
    while True:
        port = PORTS[next(_next) % len(PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
