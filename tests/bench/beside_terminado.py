"""Echo, flood and Ctrl-C beside terminado (JupyterLab's terminals) and a bare PTY, in rounds, one after the other."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from statistics import median
from typing import Any

from tests.bench import bare
from tests.bench.figures import Measured, percentile
from tests.bench.server import ROOT, Server
from tests.bench.terminals import FLOOD_BYTES, FLOOD_COMMAND, Client, client, new_terminal

ROUNDS, KEYS = 5, 200
MANY, MANY_REPLS, MANY_ROUNDS, MANY_KEYS, MANY_PER_S = 50, 10, 3, 20, 8  # a fast typist types eight keys a second
NEW_S = 5  # what a start leaves to be done is done by then
# Milliseconds of ttyd 1.7 and JupyterLab 4 under the same load, as measured once on another machine.
ECHO_50_ELSEWHERE = {"ttyd": 0.64, "JupyterLab": 1.8}
CTRL_C_ROUNDS, CTRL_CS = 4, 5
FLOODED_BYTES = 2_000_000  # before Ctrl-C is typed
SLOW_BYTES_S = 1_000_000
FLOODED_SLOW_BYTES = 500_000
FLOODS = 5
# ttyd 1.7's ratios to the bare PTY of the machine on which it was measured; it is no dependency.
TTYD_ECHO, TTYD_FLOOD = 2.4, 0.31


def terminado() -> AbstractContextManager[int]:
    """Its port."""
    return _serving("tests.bench.terminado_server")


def _relay(hops: int) -> AbstractContextManager[int]:
    """Its port."""
    return _serving("tests.bench.relays", str(hops))


def slow_link(port: int) -> AbstractContextManager[int]:
    """tests/bench/slow.py before a port of this machine -> the port to dial instead."""
    return _serving("tests.bench.slow", str(port), str(SLOW_BYTES_S))


@contextmanager
def _serving(*module: str) -> Iterator[int]:
    """The port that a process of ours prints and serves."""
    with _python(*module) as process:
        assert process.stdout
        yield int(process.stdout.readline())


@contextmanager
def _python(*module: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin
        process.stdin.close()


def _asked(process: subprocess.Popen[str], task: dict[str, Any]) -> list[float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    times: list[float] = json.loads(process.stdout.readline())["times"]
    return times


def echo(server: Server) -> tuple[Measured, Measured]:
    """A key at the prompt of the same shell until its echo: our median of terminado's, and of a bare PTY's.

    The parts say what a relay takes that only passes bytes on, in the one process that a server with PTYs of its own
    needs, and in the two that shells need which outlive their server; and what this server itself would take, were it
    that one process (one_process.py).
    """
    repl = server.create(name="beside")["id"]
    names = ("bare", "relay", "relay_of_two", "one_process", "devex", "terminado")
    times: dict[str, list[float]] = {name: [] for name in names}
    with (
        terminado() as port,
        _relay(1) as one,
        _relay(2) as two,
        _serving("tests.bench.one_process") as alone,
        _python("tests.bench.keys") as keys,
    ):
        assert keys.stdout
        keys.stdout.readline()
        other = {"url": f"ws://127.0.0.1:{port}/terminals/", "origin": f"http://127.0.0.1:{port}"}
        for _ in range(ROUNDS):
            ours = {"url": new_terminal(server, repl), "cookie": server.cookie, "origin": server.url}
            places: dict[str, dict[str, Any]] = {
                "bare": {},
                "relay": {"port": one},
                "relay_of_two": {"at": "relay", "port": two},
                "one_process": {"at": "devex", "url": f"ws://127.0.0.1:{alone}/", "cookie": "", "origin": ""},
                "devex": ours,
                "terminado": other,
            }
            for at, where in places.items():
                times[at] += _asked(keys, {"at": at, "keys": KEYS, **where})
    server.delete(repl)
    parts = {f"{at}_ms": median(those) for at, those in times.items()}
    ours_ms, terminado_ms, bare_ms = parts["devex_ms"], parts["terminado_ms"], parts["bare_ms"]
    beside = {
        "terminado": terminado_ms / bare_ms,
        "ttyd": TTYD_ECHO,
        "relay": parts["relay_ms"] / bare_ms,
        "relay of two": parts["relay_of_two_ms"] / bare_ms,
        "in one process": parts["one_process_ms"] / bare_ms,
    }
    return (
        Measured(ours_ms / terminado_ms, bare_ms / terminado_ms, parts=parts),
        Measured(ours_ms / bare_ms, 1, beside, parts),
    )


def echo_50(server: Server) -> Measured:
    """Fifty terminals in ten REPLs typing at once."""
    ours: list[float] = []
    theirs: list[float] = []
    limits: list[float] = []
    task = {"keys": MANY_KEYS, "per_s": MANY_PER_S}
    with client(server) as other:
        for _ in range(MANY_ROUNDS):
            limits += other.do("bare_echo", keys=MANY * MANY_KEYS)["times"]
            repls = [server.create(name=f"typist {number}")["id"] for number in range(MANY_REPLS)]
            urls = [new_terminal(server, repl) for repl in repls for _ in range(MANY // MANY_REPLS)]
            time.sleep(NEW_S)
            ours += other.do("echo_many", **task, urls=urls)["times"]
            for repl in repls:
                server.delete(repl)
            with terminado() as port:  # a new one: it stands still for each shell that it ends
                urls = [f"ws://127.0.0.1:{port}/terminals/"] * MANY
                there = {"origin": f"http://127.0.0.1:{port}", "cookie": "", "speaks": "terminado"}
                theirs += other.do("echo_many", **task, **there, urls=urls)["times"]
    beside = {"terminado": percentile(theirs, 0.99), **ECHO_50_ELSEWHERE}
    return Measured(percentile(ours, 0.99), percentile(limits, 0.99), beside)


def flood(server: Server) -> Measured:
    """20 MB of base64 at the WebSocket, our rate of terminado's."""
    repl = server.create(name="beside")["id"]
    rates: dict[str, list[float]] = {"bare": [], "devex": [], "terminado": []}
    task = {"command": FLOOD_COMMAND, "size_bytes": FLOOD_BYTES}
    with terminado() as port, client(server) as other:
        for _ in range(FLOODS):
            rates["bare"].append(bare.flood_mb_s(FLOOD_COMMAND.encode(), FLOOD_BYTES))
            rates["devex"].append(other.do("flood", **task, url=new_terminal(server, repl))["mb_s"])
            there = {"url": f"ws://127.0.0.1:{port}/terminals/", "origin": f"http://127.0.0.1:{port}", "cookie": ""}
            rates["terminado"].append(other.do("flood", **task, **there, speaks="terminado")["mb_s"])
    server.delete(repl)
    parts = {f"{who}_mb_s": median(those) for who, those in rates.items()}
    terminado_mb_s, bare_mb_s = parts["terminado_mb_s"], parts["bare_mb_s"]
    limit, ttyd = bare_mb_s / terminado_mb_s, TTYD_FLOOD * bare_mb_s / terminado_mb_s
    return Measured(parts["devex_mb_s"] / terminado_mb_s, limit, {"ttyd": ttyd}, parts)


def ctrl_c(server: Server) -> Measured:
    """Ctrl-C to prompt while `yes` runs at full speed."""
    repl = server.create(name="ctrl c")["id"]
    with terminado() as port, client(server) as other:
        measured = _ctrl_c(server, repl, other, {}, {"url": f"ws://127.0.0.1:{port}/terminals/"}, FLOODED_BYTES)
    server.delete(repl)
    return measured


def ctrl_c_slow(server: Server) -> Measured:
    """The same behind a link of 1 MB/s; the limit has none. Terminado's output has no bound: it grows by the round."""
    repl = server.create(name="ctrl c, far")["id"]
    with terminado() as port, client(server) as other, slow_link(server.port) as ours, slow_link(port) as theirs:
        there = {"url": f"ws://127.0.0.1:{port}/terminals/", "dialled": theirs}
        measured = _ctrl_c(server, repl, other, {"dialled": ours}, there, FLOODED_SLOW_BYTES)
    server.delete(repl)
    return measured


def _ctrl_c(
    server: Server, repl: str, other: Client, way: dict[str, Any], there: dict[str, Any], flooded_bytes: int
) -> Measured:
    limits: list[float] = []
    ours: list[float] = []
    theirs: list[float] = []
    origin = there["url"].removesuffix("/terminals/").replace("ws", "http")
    for _ in range(CTRL_C_ROUNDS):
        limits += other.do("bare_echo", keys=KEYS)["times"]
        task = {"rounds": CTRL_CS, "flooded_bytes": flooded_bytes}
        ours += other.do("ctrl_c", **task, url=new_terminal(server, repl), **way)["times"]
        task["rounds"] = 1  # without flow control every further one waits for all that is on its way
        theirs += other.do("ctrl_c", **task, **there, speaks="terminado", origin=origin, cookie="")["times"]
    return Measured(percentile(ours, 0.95), median(limits), {"terminado": percentile(theirs, 0.95)})
