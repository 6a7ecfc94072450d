"""What an idle REPL and an open page cost."""

from collections.abc import Iterable

import psutil

from tests.bench.browser import chromium, open_workbench
from tests.bench.figures import Measured
from tests.bench.server import Server
from tests.bench.terminals import client, new_terminal

REPLS = 10
PAGES = 8


def _tree(pid: int) -> Iterable[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _pss_mib(server: Server) -> float:
    """The server, its launcher and everything in the sandboxes, in MiB of PSS."""
    assert server.process
    processes = {process.pid: process for process in _tree(server.process.pid)}
    for process in psutil.process_iter(["cmdline"]):
        if any(str(server.directory) in word for word in process.info["cmdline"] or []):
            processes |= {member.pid: member for member in _tree(process.pid)}
    total = 0.0
    for process in processes.values():
        try:
            total += process.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return total


def idle_repl(server: Server) -> Measured:
    """PSS of one more REPL with a shell, over ten, the server's growth included."""
    with client(server) as other:

        def start(number: int) -> str:
            repl = str(server.create(name=f"idle {number}")["id"])
            other.do("prompt", url=new_terminal(server, repl))
            return repl

        server.stop_repl(start(0))  # what only the first one costs (imports, launcher) is not a REPL's cost
        before = _pss_mib(server)
        repls = [start(number + 1) for number in range(REPLS)]
        after = _pss_mib(server)
    for repl in repls:
        server.delete(repl)
    return Measured((after - before) / REPLS)


def workbench(server: Server) -> Measured:
    """The server's growth per open workbench page."""
    repl = server.create(name="pages")["id"]
    with chromium(server) as context:
        open_workbench(context, server, repl)
        open_workbench(context, server, repl)
        before = server.pss_mib()
        for _ in range(PAGES):
            open_workbench(context, server, repl)
        after = server.pss_mib()
    server.delete(repl)
    return Measured((after - before) / PAGES)
