"""A longer way to an HTTP server, in a process of its own: every request waits, and what passes is counted.

`python -m tests.bench.delay HOST PORT MILLISECONDS` prints its port, then for every line on standard input one line:
the requests and the bytes of their bodies and of the answers', since the line before.
"""

import asyncio
import re
import sys

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PIECE_BYTES = 1 << 18


class Delay:
    def __init__(self, host: str, port: int, delay_s: float) -> None:
        self.requests = self.bytes = 0
        self._upstream = (host, port)
        self._delay_s = delay_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection; requests follow one another on it, as no client of ours sends a second before an answer."""
        up_reader, up_writer = await asyncio.open_connection(*self._upstream, limit=PIECE_BYTES)
        answers = asyncio.create_task(self._answer(up_reader, writer))
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(self._delay_s)
                self.requests += 1
                up_writer.write(head)
                length = _LENGTH.search(head)
                await self._pass(reader, up_writer, int(length[1]) if length else 0)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # whoever speaks has ended, or this process does
        finally:
            answers.cancel()
            up_writer.close()
            writer.close()

    async def _answer(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """One answer after another; their heads come whole, at the beginning of a piece."""
        while piece := await source.read(PIECE_BYTES):
            if piece.startswith(b"HTTP/1.1 "):
                self.bytes -= piece.index(b"\r\n\r\n") + 4
            self.bytes += len(piece)
            target.write(piece)
            await target.drain()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, left: int) -> None:
        while left and (piece := await source.read(min(left, PIECE_BYTES))):
            left -= len(piece)
            self.bytes += len(piece)
            target.write(piece)
            await target.drain()


async def main() -> None:
    host, port, milliseconds = sys.argv[1:]
    delay = Delay(host, int(port), int(milliseconds) / 1000)
    server = await asyncio.start_server(delay.serve, "127.0.0.1", 0, limit=PIECE_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(delay.requests, delay.bytes, flush=True)
        delay.requests = delay.bytes = 0


if __name__ == "__main__":
    uvloop.run(main())
