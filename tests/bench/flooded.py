"""One person's keystroke while another person's terminal floods.

`python -m tests.bench.flooded URL COOKIE ORIGIN` has `yes` run there and takes all that comes, as fast as it can, until
its standard input ends; it says so with a line when the flood has come.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.client import Terminal, attach
from tests.bench.figures import Measured, percentile
from tests.bench.server import ROOT, Server
from tests.bench.terminals import client, new_terminal

ROUNDS, KEYS = 5, 200
FLOOD_BYTES = 4_000_000  # have come before a key is typed


def echo(server: Server) -> Measured:
    """Key to echo, in another REPL than the flood's; the limit is the same without a flood, in rounds between."""
    typist, flooder = (server.create(name=name)["id"] for name in ("typist", "flooder"))
    times: list[float] = []
    quiet: list[float] = []
    with client(server) as other:
        for _ in range(ROUNDS):
            quiet += other.do("echo", url=new_terminal(server, typist), keys=KEYS)["times"]
            with _flooding(server, new_terminal(server, flooder)):
                times += other.do("echo", url=new_terminal(server, typist), keys=KEYS)["times"]
    for repl in (typist, flooder):
        server.delete(repl)
    return Measured(percentile(times, 0.95), percentile(quiet, 0.95))


@contextmanager
def _flooding(server: Server, url: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.flooded", url, server.cookie, server.url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flood:
        assert flood.stdin
        assert flood.stdout
        assert flood.stdout.readline(), "the flood ended"
        yield
        flood.stdin.close()


async def _flood(url: str, cookie: str, origin: str) -> None:
    async with attach({"url": url, "cookie": cookie, "origin": origin}) as socket:
        terminal = Terminal(socket)
        await terminal.type(b"yes\n")

        async def take() -> None:
            seen = 0
            while True:
                before, seen = seen, seen + len(await terminal.output())
                if before < FLOOD_BYTES <= seen:
                    print("flooding", flush=True)

        taking = asyncio.create_task(take())
        await asyncio.to_thread(sys.stdin.read)
        await terminal.type(b"\x03")
        taking.cancel()


if __name__ == "__main__":
    asyncio.run(_flood(*sys.argv[1:]))
