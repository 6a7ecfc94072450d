"""What any server of terminals costs, however little it does: bytes passed on between TCP and a PTY, without WebSocket,
framing, event loop or sandbox.

`python -m tests.bench.relays HOPS` prints its port, and serves one client after another until standard input ends. Of
one hop the PTY is the server's own; of two it is another process's, as where shells outlive the server.
"""

import os
import select
import socket
import sys

from tests.bench.bare import BarePty

_PIECE_BYTES = 65536


def relay(left: int, right: int, until: int) -> None:
    """Pass on what comes, both ways, until one end closes or `until` can be read."""
    others = {left: right, right: left}
    waits = select.epoll()
    for fd in (left, right, until):
        waits.register(fd, select.EPOLLIN)
    while True:
        for fd, _ in waits.poll():
            if fd == until:
                return
            try:
                data = os.read(fd, _PIECE_BYTES)
            except OSError:  # EIO: the shell's end of the PTY is closed
                return
            if not data:
                return
            os.write(others[fd], data)


def behind(stream: socket.socket) -> None:
    """Serve a shell on this stream until that closes."""
    terminal = BarePty()
    relay(stream.fileno(), terminal.master, sys.stdin.fileno())
    terminal.close()


def main(hops: int) -> None:
    """Until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while listener in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hops == 1:
                behind(client)
            else:
                ours, theirs = socket.socketpair()
                if pid := os.fork():
                    theirs.close()
                    relay(client.fileno(), ours.fileno(), sys.stdin.fileno())
                    ours.close()
                    os.waitpid(pid, 0)
                else:
                    ours.close()
                    listener.close()
                    client.close()
                    behind(theirs)
                    os._exit(0)
            client.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
