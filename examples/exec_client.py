"""Run a command in a REPL as if it ran here: DEVEX_TOKEN=… exec_client.py https://HOST/repls/ID/exec SECONDS CMD…

Exits as CMD does; with 124 when its time was over, 255 when it could not be started or its sandbox ended first.
"""

import asyncio
import json
import os
import signal
import sys

from websockets.asyncio.client import ClientConnection, connect

INPUT, ACK, EOF, OUTPUT, EXITED, CREDIT, ERRORS, REFUSED = 1, 3, 12, 17, 19, 28, 29, 30


async def feed(socket: ClientConnection, credit: asyncio.Queue[int]) -> None:
    sent = upto = 0
    while data := await asyncio.to_thread(os.read, 0, 65536):
        while sent + len(data) > upto:  # until the program has taken what it was sent before
            upto = await credit.get()
        await socket.send(bytes([INPUT]) + data)
        sent += len(data)
    await socket.send(bytes([EOF]))


async def run(url: str, timeout_s: str, *argv: str) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, os._exit, 130)  # which hangs up the program
    credit, taken = asyncio.Queue[int](), 0
    bearing = {"Authorization": f"Bearer {os.environ['DEVEX_TOKEN']}"}
    async with connect(url.replace("http", "ws", 1), additional_headers=bearing, max_size=None) as socket:
        await socket.send(json.dumps({"argv": argv, "stdin": True, "timeout_s": int(timeout_s)}))
        feeding = asyncio.create_task(feed(socket, credit))
        while (message := bytes(await socket.recv(decode=False)))[0] not in (EXITED, REFUSED):
            if message[0] == CREDIT:
                credit.put_nowait(int.from_bytes(message[1:]))
            elif message[0] in (OUTPUT, ERRORS):
                taken += os.write(1 if message[0] == OUTPUT else 2, message[1:])
                await socket.send(bytes([ACK]) + taken.to_bytes(8))
        feeding.cancel()
        told = json.loads(message[1:])
        if message[0] == REFUSED:
            print(told["error"]["message"], told["error"]["action"], file=sys.stderr, flush=True)
        code = 124 if told.get("timed_out") else told.get("exit_code")
        os._exit(255 if code is None else code)  # the thread that reads may wait for ever


asyncio.run(run(*sys.argv[1:]))
