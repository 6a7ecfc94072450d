"""What an echo would cost if this server read the PTYs itself: the WebSocket, the ring, the windows and turns as they
are, without agent, sandbox, REPLs and records.

`python -m tests.bench.one_process` prints its port, and serves until standard input ends. Its shells end with it, which
is why DEVEX is not built so: it says what the second process costs, and what would be left without it.
"""

import asyncio
import os
import socket
import sys

import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from app.gateway.connections import connection_factory
from app.settings import Settings
from runner.direct import EXTENSION, Direct
from runner.proxy.terminals import wire
from runner.proxy.terminals.replies import is_answer, is_report
from runner.proxy.terminals.terminal import Terminal
from runner.viewer import Viewer
from tests.bench.bare import BarePty

_PIECE_BYTES = 65536
_SOMEBODY = Viewer("1", "bench", can_write=True)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """A shell for as long as a WebSocket is open."""
    await receive()
    await send({"type": "websocket.accept"})
    shell = BarePty()
    terminal = Terminal("sh-1-bench", "shell", 1, (80, 24), grant=lambda _: None, resize=lambda *_: None)
    attachment = terminal.attach(0, _SOMEBODY)
    direct: Direct = scope["extensions"][EXTENSION]

    async def send_rest() -> None:
        while True:
            if frame := attachment.next_frame():
                await send({"type": "websocket.send", "bytes": frame})
            else:
                attachment.wake.clear()
                await attachment.wake.wait()

    def take(message: bytes) -> bool:
        kind, body = message[0], message[1:]
        if kind == wire.INPUT and attachment.take(len(body)) and not is_answer(body) and not is_report(body):
            if terminal.may_type(attachment, len(body)):
                os.write(shell.master, body)
        elif kind == wire.ACK:
            terminal.acknowledge(attachment, wire.offset(body))
        elif kind == wire.PING:
            attachment.pong(wire.number(body))
        return True

    def read() -> None:
        terminal.output(terminal.ring.end, os.read(shell.master, _PIECE_BYTES))

    attachment.direct = direct
    direct.on_message = take
    loop = asyncio.get_running_loop()
    loop.add_reader(shell.master, read)
    sending = asyncio.create_task(send_rest())
    while (await receive())["type"] != "websocket.disconnect":
        pass
    loop.remove_reader(shell.master)
    sending.cancel()
    terminal.detach(attachment)
    terminal.close(wire.NO_SUCH_TERMINAL)
    shell.close()


async def main() -> None:
    """Until standard input ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            application,
            log_level="warning",
            lifespan="off",
            ws_ping_interval=None,
            http=connection_factory(Settings()),  # type: ignore[arg-type]
        )
        server = uvicorn.Server(config)
        print(listener.getsockname()[1], flush=True)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listener]))
            await asyncio.to_thread(sys.stdin.read)
            server.should_exit = True


if __name__ == "__main__":
    uvloop.run(main())
