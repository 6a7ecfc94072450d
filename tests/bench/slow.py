"""A slow link to a server of this machine, in a process of its own.

`python -m tests.bench.slow PORT BYTES_PER_S` prints its port and passes on until standard input ends. What comes back
from the server is held to the rate and queued by no more than QUEUE_BYTES besides the sockets' own buffers, which are
kept small: as a modem does, not as a router with seconds of buffers.
"""

import asyncio
import socket
import sys

QUEUE_BYTES = 16 * 1024
SOCKET_BYTES = 32 * 1024


class Slow:
    def __init__(self, port: int, bytes_per_s: float) -> None:
        self._port = port
        self._bytes_per_s = bytes_per_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        upstream = socket.socket()
        upstream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)  # before the window is agreed on
        upstream.setblocking(False)
        await asyncio.get_running_loop().sock_connect(upstream, ("127.0.0.1", self._port))
        up_reader, up_writer = await asyncio.open_connection(sock=upstream, limit=QUEUE_BYTES)
        back = asyncio.create_task(self._back(up_reader, writer))
        try:
            while piece := await reader.read(QUEUE_BYTES):
                up_writer.write(piece)
                await up_writer.drain()
        except ConnectionError:
            pass  # whoever speaks has ended
        finally:
            back.cancel()
            up_writer.close()
            writer.close()

    async def _back(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        free_s = loop.time()
        while piece := await source.read(QUEUE_BYTES // 4):
            free_s = max(free_s, loop.time()) + len(piece) / self._bytes_per_s
            await asyncio.sleep(free_s - loop.time())
            target.write(piece)
            await target.drain()


async def main() -> None:
    """Until standard input ends."""
    port, bytes_per_s = sys.argv[1:]
    slow = Slow(int(port), float(bytes_per_s))
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0, limit=QUEUE_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
