"""A network between a browser and its server, which fails as it is told to."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

PIECE_BYTES: Final = 1 << 16
UPGRADE: Final = b"upgrade: websocket"
TURNS: Final = 5  # of the loop, in which what was accepted is served, and what was aborted is closed


@dataclass(eq=False)
class Socket:
    """A WebSocket that is open; `passed` are pieces of bytes, of the browser and of the server."""

    path: str
    passed: list[int] = field(default_factory=lambda: [0, 0])


class Network:
    """Listens on `url` and passes bytes on to a server, in a thread of its own.

    `idle_s`: what is silent for so long in either direction is cut, as by a proxy that looks at each of them.
    `blocks`: a WebSocket's handshake is answered with an error of its own, as by a filter that knows only pages.
    `cut_after_bytes`: of what the server sends on the next connection; there it is cut.
    """

    def __init__(self, port: int, *, server_port: int, idle_s: float | None = None, blocks: bool = False) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.server_port = server_port
        self.idle_s = idle_s
        self.blocks = blocks
        self.cut_after_bytes: int | None = None
        self.cut_for_silence = 0
        self.sockets: list[Socket] = []
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Server | None = None
        self._swallows = False
        self._listens = threading.Event()
        self._open: set[asyncio.Task[None]] = set()

    def refuse(self) -> None:
        """Connections are reset, and further ones refused."""
        self._do(self._refuse())

    def swallow(self) -> None:
        """Whatever is sent is lost, and nobody is told; what was connected stays so for good."""
        self._swallows = True

    def away(self, outage_s: float) -> None:
        """Swallow for so long."""
        self.swallow()
        self._do(asyncio.sleep(outage_s), outage_s + 10)
        self.restore()

    def restore(self) -> None:
        """Further connections are passed on."""
        self._swallows = False
        self._do(self._listen())

    # Parts

    def _do(self, work: Coroutine[None, None, None], within_s: float = 10) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    async def _listen(self) -> None:
        if self._serving is None:
            self._serving = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _refuse(self) -> None:
        if self._serving is not None:
            self._serving.close()
            self._serving = None
        await self._cut()

    async def _cut(self) -> None:
        for task in (ended := list(self._open)):
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # of one that was cut before it began, too

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        socket: Socket | None = None
        try:
            if self._swallows:
                await asyncio.Event().wait()
            head = await reader.readuntil(b"\r\n\r\n")
            is_socket = UPGRADE in head.lower()
            if is_socket and self.blocks:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            back, upstream = await asyncio.open_connection("127.0.0.1", self.server_port)
            upstream.write(head)
            left, self.cut_after_bytes = self.cut_after_bytes, None
            if is_socket:
                socket = Socket(head.split(b" ", 2)[1].decode())
                self.sockets.append(socket)
            passing = [self._pass(reader, upstream, socket, 0), self._pass(back, writer, socket, 1, left)]
            tasks = [asyncio.ensure_future(one) for one in passing]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in tasks:
                    one.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            if socket in self.sockets:
                self.sockets.remove(socket)
            for side in (writer, upstream):
                if side is not None:
                    side.transport.abort()

    async def _pass(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        socket: Socket | None,
        whose: int,
        left: int | None = None,
    ) -> None:
        idle_s = self.idle_s if socket else None
        with suppress(OSError):
            while left is None or left > 0:
                size = PIECE_BYTES if left is None else min(left, PIECE_BYTES)
                try:
                    piece = await asyncio.wait_for(source.read(size), idle_s)
                except TimeoutError:
                    self.cut_for_silence += 1
                    return
                if self._swallows:
                    await asyncio.Event().wait()
                if not piece:
                    return
                if socket:
                    socket.passed[whose] += 1
                target.write(piece)
                await target.drain()
                left = None if left is None else left - len(piece)

    def _run(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._listens.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        await self._refuse()
        for _ in range(TURNS):
            await asyncio.sleep(0)
            await self._cut()

    @contextmanager
    def running(self) -> Iterator["Network"]:
        thread = threading.Thread(target=self._run, name="network")
        thread.start()
        try:
            assert self._listens.wait(10)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
