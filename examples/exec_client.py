"""Run a command in a REPL as if it ran here: DEVEX_TOKEN=… exec_client.py https://HOST/repls/ID/exec SECONDS CMD…

Exits as CMD does; with 124 when its time was over, 255 when it could not be started, or was cut off.
"""

import json
import os
import queue
import signal
import sys
import threading

from websockets.sync.client import connect

INPUT, ACK, EOF, OUTPUT, EXITED, CREDIT, ERRORS, REFUSED = 1, 3, 12, 17, 19, 28, 29, 30


def feed(sent: int = 0, upto: int = 0) -> None:
    while data := os.read(0, 65536):
        while sent + len(data) > upto:  # until the program has taken what it was sent before
            upto = credit.get()
        socket.send(bytes([INPUT]) + data)
        sent += len(data)
    socket.send(bytes([EOF]))


signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # which hangs up the program
sys.excepthook = lambda _, problem, __: (sys.stderr.write(f"{problem}\n"), os._exit(255))  # refused, or cut off
threading.excepthook = lambda _: None  # a program may well end before it was fed all
bearing, credit, taken = f"Bearer {os.environ['DEVEX_TOKEN']}", queue.Queue[int](), 0
with connect(sys.argv[1].replace("http", "ws", 1), additional_headers={"Authorization": bearing}) as socket:
    socket.send(json.dumps({"argv": sys.argv[3:], "stdin": True, "timeout_s": int(sys.argv[2])}))
    threading.Thread(target=feed, daemon=True).start()
    while (message := bytes(socket.recv(decode=False)))[0] not in (EXITED, REFUSED):
        if message[0] == CREDIT:
            credit.put(int.from_bytes(message[1:]))
        elif fd := {OUTPUT: 1, ERRORS: 2}.get(message[0]):
            socket.send(bytes([ACK]) + (taken := taken + os.write(fd, message[1:])).to_bytes(8))
told = json.loads(message[1:])
sys.stderr.write("{message} {action}\n".format_map(told["error"]) if message[0] == REFUSED else "")
sys.exit(124 if told.get("timed_out") else 255 if told.get("exit_code") is None else told["exit_code"])
