"""Run a command in a REPL as if it ran here: DEVEX_TOKEN=… exec_client.py https://devex.example/repls/ID/exec CMD…"""

import asyncio
import json
import os
import signal
import sys

from websockets.asyncio.client import ClientConnection, connect

INPUT, ACK, SIGNAL, EOF, OUTPUT, EXITED, CREDIT, ERRORS, REFUSED = 1, 3, 4, 12, 17, 19, 28, 29, 30


async def feed(socket: ClientConnection, credits: asyncio.Queue[int]) -> None:
    sent = credit = 0
    while data := await asyncio.to_thread(os.read, 0, 65536):
        while sent + len(data) > credit:  # until the program has taken what it was sent before
            credit = await credits.get()
        await socket.send(bytes([INPUT]) + data)
        sent += len(data)
    await socket.send(bytes([EOF]))


async def run(url: str, *argv: str) -> int:
    credits, taken = asyncio.Queue[int](), 0
    bearing = {"Authorization": f"Bearer {os.environ['DEVEX_TOKEN']}"}
    async with connect(url.replace("http", "ws", 1), additional_headers=bearing, max_size=None) as socket:
        limit_s = int(os.environ["DEVEX_TIMEOUT_S"]) if "DEVEX_TIMEOUT_S" in os.environ else None
        await socket.send(json.dumps({"argv": argv, "stdin": True, "timeout_s": limit_s}))
        feeding = asyncio.create_task(feed(socket, credits))
        interrupt = bytes([SIGNAL, signal.SIGINT])
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: loop.create_task(socket.send(interrupt)))
        async for message in socket:
            assert isinstance(message, bytes)
            kind, body = message[0], message[1:]
            if kind in (OUTPUT, ERRORS):
                stream = (sys.stdout if kind == OUTPUT else sys.stderr).buffer
                stream.write(body)
                stream.flush()
                taken += len(body)
                await socket.send(bytes([ACK]) + taken.to_bytes(8))
            elif kind == CREDIT:
                credits.put_nowait(int.from_bytes(body))
            elif kind == EXITED:
                feeding.cancel()
                code: int | None = json.loads(body)["exit_code"]
                return 124 if code is None else code  # as timeout(1) says it
            elif kind == REFUSED:
                print("{message} {action}".format(**json.loads(body)["error"]), file=sys.stderr)
                return 255
    return 255  # cut off


async def main() -> None:
    code = await run(*sys.argv[1:])
    os._exit(code)  # without waiting for the thread that reads


asyncio.run(main())
